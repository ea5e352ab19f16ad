"""How a worker process ends by force; `WorkerProcess` in loop.py has the normal end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import Any

from dramatiq import Worker
from dramatiq.middleware import Middleware

from actors.libraries import rely_on

REPEATED_SIGNAL_S = 5
LOOK_S = 1

rely_on(Worker, "workers", "consumers")

logger = logging.getLogger(__name__)


class Signals(Middleware):
    """Ignores a second SIGTERM within some seconds.

    A signal to the whole process group reaches a child twice, and Dramatiq would take
    the second one as "stop at once" and drop its messages.
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

    Its supervisor starts a whole one. The supervisor knows only the master, so without
    this a worker whose master was killed would go on beside the new one, for ever.
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
        while not self._stopped.wait(LOOK_S):
            if os.getppid() != master:
                logger.critical("The master has died, so this process stops.")
                os.kill(os.getpid(), signal.SIGTERM)
                return
            for thread in (*worker.workers, *worker.consumers.values()):
                if not thread.is_alive():
                    logger.critical("%s has died, so this process ends.", thread)
                    os._exit(1)
