"""A worker process beside Dramatiq's threads: its event loop and the tasks on it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import uvloop
from dramatiq.asyncio import (
    EventLoopThread,
    get_event_loop_thread,
    set_event_loop_thread,
)
from dramatiq.middleware import AsyncIO, Middleware
from redis.exceptions import RedisError

from actors.backends import Backend
from actors.backends.registry import Backends
from actors.libraries import rely_on
from actors.limits import UNKNOWN_BACKEND_GRACE_MS
from actors.messages import send_beats, work_with
from actors.process import calm_garbage_collector
from actors.settings import Settings
from actors.store import Store
from actors.store.blocking import require
from actors.telemetry.logs import last_words, set_up
from actors.telemetry.sentry import report_errors
from actors.telemetry.serving import metrics
from actors.telemetry.traces import tracing
from actors.telemetry.work import BEATS

from .calls import Calls

WATCH_S = 0.4
LEARN_EVERY = 25  # turns

rely_on(EventLoopThread, "loop", "start", "run_coroutine")

logger = logging.getLogger(__name__)


class UvLoop(AsyncIO):
    """Dramatiq's event loop thread on uvloop: a third less CPU for a poll."""

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        thread = EventLoopThread(self.logger)
        thread.loop.close()
        thread.loop = uvloop.new_event_loop()
        thread.start(timeout=5.0)
        set_event_loop_thread(thread)


class WorkerProcess(Middleware):
    """Opens and closes all that the actors work with, on the process's event loop.

    On SIGTERM Dramatiq stops its threads and then calls `after_worker_shutdown`.

    Without settings they are read from the environment when the process starts.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        backends: Mapping[str, Backend] | None = None,
        grace_ms: int = UNKNOWN_BACKEND_GRACE_MS,
    ) -> None:
        self._settings = settings
        self._backends = backends
        self._grace_ms = grace_ms
        self._tasks: list[asyncio.Task[None]] = []
        self._open_until_end = AsyncExitStack()

    def after_process_boot(self, broker: Any) -> None:
        set_up()
        with last_words(), _ends_on_failure():
            self._boot(broker)

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        with _ends_on_failure():
            calm_garbage_collector()
            _on_loop(self._open())

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        _on_loop(self._close())

    def _boot(self, broker: Any) -> None:
        settings = self._settings or Settings.read(os.environ)
        self._settings = settings
        report_errors("worker")
        self._backends = self._backends or Backends.read(settings)
        require(settings.redis_url, "REDIS_URL")
        require(settings.broker_url, "BROKER_URL")
        broker.connect(settings.broker_url, settings.key_prefix)
        names = ", ".join(self._backends)
        logger.info("ProgRock works for these backends: %s.", names)

    async def _open(self) -> None:
        assert self._settings is not None
        assert self._backends is not None
        self._calls = Calls(
            Store.open(self._settings),
            self._backends,
            send_beats,
            idle_interval_ms=self._settings.idle_interval_ms,
            grace_ms=self._grace_ms,
        )
        work_with(self._calls)
        self._open_until_end.enter_context(tracing("worker"))
        census = self._calls.store.census.taken
        await self._open_until_end.enter_async_context(
            metrics(self._settings, "worker", self._backends, census)
        )
        self._tasks = [
            asyncio.create_task(work)
            for work in (
                self._calls.renew_forever(),
                self._calls.write_back.write_forever(),
                watch_forever(self._calls.store),
            )
        ]

    async def _close(self) -> None:
        work_with(None)
        await self._calls.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._open_until_end.aclose()
        await self._calls.store.close()


async def watch_forever(store: Store) -> None:
    """Restart chains whose message was lost."""
    for turn in itertools.count():
        await asyncio.sleep(WATCH_S)
        try:
            if turn % LEARN_EVERY == 0:
                await store.learn_partitions()
            beats = await store.ensure()
            BEATS["restarted"] += len(beats)
            await send_beats(beats)
        except RedisError as error:
            logger.warning("The watchdog cannot reach Redis: %s.", error)


@contextmanager
def _ends_on_failure() -> Iterator[None]:
    """End the process if it cannot start; Dramatiq would log the error and go on."""
    try:
        yield
    except Exception:
        logger.critical("The worker cannot start.", exc_info=True)
        sys.exit(1)


def _on_loop(work: Coroutine[Any, Any, None]) -> None:
    thread = get_event_loop_thread()
    assert thread is not None  # the AsyncIO middleware comes first
    thread.run_coroutine(work)
