"""Restarts each process that has ended, as systemd or Heroku do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psutil

from dev.processes import Process

RESTART_S = 0.1
LOOK_S = 0.02


class Supervised:
    """One command, restarted whenever it has ended."""

    def __init__(
        self,
        start: Callable[[], Process],
        is_ready: Callable[[Process], Awaitable[bool]],
        has_crashed: Callable[[Process], None],
    ) -> None:
        self._start = start
        self._is_ready = is_ready
        self._has_crashed = has_crashed
        self.process = start()
        self._doomed: Process | None = None
        self._past: list[Process] = []

    @property
    def pid(self) -> int:
        return self.process.pid

    async def keep_up(self) -> None:
        """Restart the process for ever."""
        while True:
            while self.process.popen.poll() is None:
                await asyncio.sleep(LOOK_S)
            if self.process is not self._doomed:
                self._has_crashed(self.process)
            await asyncio.sleep(RESTART_S)
            self._past.append(self.process)
            self.process = self._start()

    def doomed(self) -> Process:
        """Mark the present process as about to end; then its successor counts."""
        self._doomed = self.process
        return self.process

    async def ready(self) -> None:
        """Wait until the process runs and does its work."""
        while self.process is self._doomed or not await self._is_ready(self.process):
            await asyncio.sleep(LOOK_S)

    def clear_up(self) -> None:
        """Remove the remains of earlier processes."""
        while self._past:
            self._past.pop().end()

    def children(self) -> list[psutil.Process]:
        """The processes that the present process has started."""
        return list(psutil.Process(self.pid).children(recursive=True))
