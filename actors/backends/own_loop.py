"""An event loop in a thread of its own, for code that may block.

A call that blocks holds up the other calls on this loop, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

CLOSE_PATIENCE_S = 1

T = TypeVar("T")

logger = logging.getLogger(__name__)


class NotBegunError(TimeoutError):
    """The time is up and the call was not begun; it never will be."""


class OwnLoop:
    """An event loop whose thread is started by the first call.

    The thread is a daemon: one that blocks for ever does not hold the process's end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_started(self) -> bool:
        return self._loop is not None

    async def run(self, call: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Await `call()` on this loop from another one.

        Raises TimeoutError if it takes too long; then it is cancelled, but not waited
        for. The TimeoutError is a NotBegunError if nothing of it has run.
        """
        claim = threading.Lock()  # taken by the first of the two, begin and give up
        future = asyncio.run_coroutine_threadsafe(_begun(call, claim), self._started())
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            if claim.acquire(blocking=False):
                raise NotBegunError from error
            raise

    async def close(self) -> None:
        """End the loop and all that runs on it; a thread that blocks is left alone."""
        if self._loop is None or self._thread is None:
            return
        loop, self._loop = self._loop, None
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(self._thread.join, CLOSE_PATIENCE_S)
        if self._thread.is_alive():
            logger.warning("The backend %s blocks, and is left alone.", self._name)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                ready = threading.Event()
                self._thread = threading.Thread(
                    target=self._work, args=[ready], name=self._name, daemon=True
                )
                self._thread.start()
                ready.wait()
            assert self._loop is not None  # the thread has set it
            return self._loop

    def _work(self, ready: threading.Event) -> None:
        with asyncio.Runner() as runner:
            self._loop = loop = runner.get_loop()
            ready.set()
            while self._loop is loop:
                _run_on(loop)


def _run_on(loop: asyncio.AbstractEventLoop) -> None:
    """Run until the loop is stopped; a task that wants to end the process does not."""
    try:
        loop.run_forever()
    except (SystemExit, KeyboardInterrupt) as error:
        logger.error("A task wanted to end the process: %r", error)


async def _begun(call: Callable[[], Awaitable[T]], claim: threading.Lock) -> T:
    """Run the call unless its caller has given it up; nothing of it ends the loop."""
    if not claim.acquire(blocking=False):
        raise asyncio.CancelledError
    try:
        return await call()
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"It wanted to end the process: {error!r}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        raise RuntimeError("It cancelled itself.") from error
