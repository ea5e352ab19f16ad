"""Starts each process again when it has ended, as systemd or Heroku would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psutil

from dev.processes import Process

RESTART_S = 0.1
LOOK_S = 0.02


class Supervised:
    """One command, started again whenever it has ended."""

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
        """Restart it for ever."""
        while True:
            while self.process.popen.poll() is None:
                await asyncio.sleep(LOOK_S)
            if self.process is not self._doomed:
                self._has_crashed(self.process)
            await asyncio.sleep(RESTART_S)
            self._past.append(self.process)
            self.process = self._start()

    def doomed(self) -> Process:
        """Its present process, which is to end now; the next one counts."""
        self._doomed = self.process
        return self.process

    async def ready(self) -> None:
        """Wait until it is there and does its work."""
        while self.process is self._doomed or not await self._is_ready(self.process):
            await asyncio.sleep(LOOK_S)

    def clear_up(self) -> None:
        """Leave nothing behind of the processes before."""
        while self._past:
            self._past.pop().end()

    def children(self) -> list[psutil.Process]:
        """The processes that it has started."""
        return list(psutil.Process(self.pid).children(recursive=True))
