"""Ends futures that take too long, by one timer for all of them."""

from __future__ import annotations

import asyncio
import math
from typing import Any


class Deadlines:
    """Like asyncio.timeout around each future, without a timer for each."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience_s: float) -> None:
        self._loop = loop
        self._patience_s = patience_s
        self._waiting: dict[asyncio.Future[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf

    def next(self) -> float:
        """The deadline of a call that begins now, by the loop's clock."""
        return self._loop.time() + self._patience_s

    def add(self, future: asyncio.Future[Any], until: float) -> None:
        """Have the future fail with TimeoutError if it is not done by then."""
        self._waiting[future] = until
        if until < self._looks_at:
            self._look_at(until)

    def drop(self, future: asyncio.Future[Any]) -> None:
        """Forget a future, which is done or given up."""
        del self._waiting[future]

    def _look(self) -> None:
        now = self._loop.time()
        late = [future for future, until in self._waiting.items() if until <= now]
        for future in late:
            if not future.done():
                future.set_exception(TimeoutError())
        self._looks_at = math.inf
        if left := [until for until in self._waiting.values() if until > now]:
            self._look_at(min(left))

    def _look_at(self, moment: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._looks_at = moment
        self._timer = self._loop.call_at(moment, self._look)
