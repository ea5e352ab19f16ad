"""What a worker process is beside Dramatiq's own: its rounds, its watchdog, its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Coroutine, Mapping
from typing import Any

from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import Middleware
from redis.exceptions import RedisError

from actors.backends import Backend
from actors.messages import Hands, install, send_beats
from actors.process import calm_garbage_collector
from actors.settings import Settings
from actors.store import Store
from actors.store.redis import connect, require

from .calls import CLOSE_PATIENCE_S, Rounds
from .write_back import Writer

WATCH_S = 0.4
REPEATED_SIGNAL_S = 5

logger = logging.getLogger(__name__)


class WorkerProcess(Middleware):
    """Opens and closes what the actors work with, on the process's one event loop."""

    def __init__(self, settings: Settings, backends: Mapping[str, Backend]) -> None:
        self._settings = settings
        self._backends = backends
        self._tasks: list[asyncio.Task[None]] = []

    def after_process_boot(self, broker: Any) -> None:
        require(self._settings.redis_url, "REDIS_URL")
        require(self._settings.broker_url, "BROKER_URL")

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        calm_garbage_collector()
        _on_loop(self._open())

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        _on_loop(self._close())

    async def _open(self) -> None:
        settings = self._settings
        store = Store(
            connect(settings.redis_url),
            job_ttl_s=settings.job_ttl_s,
            poll_interval_ms=settings.poll_interval_ms,
        )
        self._writer = Writer(store, send_beats)
        rounds = Rounds(store, self._backends, self._writer)
        self._hands = Hands(store, self._backends, rounds)
        install(self._hands)
        self._tasks = [
            asyncio.create_task(work)
            for work in (
                self._hands.rounds.renew_forever(),
                self._writer.write_forever(),
                watch_forever(store),
            )
        ]

    async def _close(self) -> None:
        install(None)
        await self._hands.rounds.close()
        await self._writer.close(CLOSE_PATIENCE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for backend in self._backends.values():
            await backend.close()
        await self._hands.store.close()


class Signals(Middleware):
    """Survives a SIGTERM to the whole process group, which reaches a child twice.

    Dramatiq takes the second for impatience and drops what it is doing.
    """

    def after_process_boot(self, broker: Any) -> None:
        stop: Any = signal.getsignal(signal.SIGTERM)
        first_at = 0.0

        def handle(signum: int, frame: Any) -> None:
            nonlocal first_at
            if not first_at:
                first_at = time.monotonic()
                stop(signum, frame)
            elif time.monotonic() - first_at > REPEATED_SIGNAL_S:
                os._exit(1)

        signal.signal(signal.SIGTERM, handle)


class ThreadWatch(Middleware):
    """Ends a process that has lost a thread or its master.

    Its supervisor starts a whole one. It knows only the master, so without this a
    worker whose master was killed would go on beside the new one, for ever.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        threading.Thread(
            target=self._watch, args=[worker, os.getppid()], daemon=True
        ).start()

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:
        self._stopped.set()

    def _watch(self, worker: Any, master: int) -> None:
        while not self._stopped.wait(1):
            if os.getppid() != master:
                logger.critical("The master has died, so this process stops.")
                os.kill(os.getpid(), signal.SIGTERM)
                return
            for thread in (*worker.workers, *worker.consumers.values()):
                if not thread.is_alive():
                    logger.critical("%s has died, so this process ends.", thread)
                    os._exit(1)


async def watch_forever(store: Store) -> None:
    """Restart chains whose message was lost."""
    while True:
        await asyncio.sleep(WATCH_S)
        try:
            await send_beats(await store.ensure())
        except RedisError as error:
            logger.warning("The watchdog cannot reach Redis: %s.", error)


def _on_loop(work: Coroutine[Any, Any, None]) -> None:
    thread = get_event_loop_thread()
    assert thread is not None  # the AsyncIO middleware comes first
    thread.run_coroutine(work)
