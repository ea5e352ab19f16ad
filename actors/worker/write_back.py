"""Writes jobs back in batches: what many polls heard goes to Redis in one call."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis.exceptions import RedisError

from actors.job import Job
from actors.store import Store
from actors.store.values import Beat, Change, Contact, Taken

Outcome = Callable[[Job], Job]

GATHER_S = 0.01  # what comes so soon after a write waits for the next
REFRESH_MS = 1900  # a watched job that stays the same is told again this often
RETRY_S = 0.3

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    taken: Taken
    outcome: Outcome
    contact: Contact
    due_watched_ms: int
    due_idle_ms: int

    def change(self) -> Change:
        before = self.taken.job
        after = self.outcome(before)
        if after.says() != before.says() or self._is_due_a_refresh():
            after = after.revised()
        return Change(
            before,
            after,
            self.contact,
            self.taken.take,
            self.due_watched_ms,
            self.due_idle_ms,
        )

    def _is_due_a_refresh(self) -> bool:
        silent_ms = self.due_watched_ms - self.taken.told_ms
        has_just_been = 0 <= silent_ms <= REFRESH_MS  # clocks may be put back
        return self.taken.watched and not has_just_been


class Writer:
    """What is to be written back. While Redis is away, it is kept and tried again."""

    def __init__(
        self, store: Store, send: Callable[[list[Beat]], Awaitable[None]]
    ) -> None:
        self._store = store
        self._send = send
        self._entries: list[_Entry] = []
        self._added = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(
        self,
        taken: Taken,
        outcome: Outcome,
        contact: Contact,
        due_watched_ms: int,
        due_idle_ms: int,
    ) -> None:
        """Have the `outcome` for the job, as it is by then, written if it is ours."""
        self._entries.append(
            _Entry(taken, outcome, contact, due_watched_ms, due_idle_ms)
        )
        self._empty.clear()
        self._added.set()

    async def write_forever(self) -> None:
        """Write whatever is added, at once or soon after."""
        while True:
            await self._added.wait()
            self._added.clear()
            entries, self._entries = self._entries, []
            try:
                await self._write(entries)
            except Exception:
                # Their leases run out, then they are polled again.
                logger.exception("%d jobs were not written back.", len(entries))
            if not self._entries:
                self._empty.set()
            await asyncio.sleep(GATHER_S)

    async def close(self, patience_s: float) -> None:
        """Wait until all is written, but not for ever."""
        try:
            async with asyncio.timeout(patience_s):
                await self._empty.wait()
        except TimeoutError:
            logger.warning("%d jobs were not written back.", len(self._entries))

    async def _write(self, entries: list[_Entry]) -> None:
        try:
            written, beats = await self._store.advance([e.change() for e in entries])
            moved_on = [
                e for e, code in zip(entries, written, strict=True) if code == 0
            ]
            for entry in moved_on:
                await self._read_again(entry)
        except RedisError as error:
            logger.warning("Redis is away, %d jobs wait: %s.", len(entries), error)
            self._keep(entries)
            await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))
            return
        self._keep(moved_on)
        await self._send(beats)

    async def _read_again(self, entry: _Entry) -> None:
        loaded = await self._store.load(entry.taken.id)
        if loaded:
            entry.taken.job = loaded[0]

    def _keep(self, entries: list[_Entry]) -> None:
        if entries:
            self._entries = entries + self._entries
            self._empty.clear()
            self._added.set()
