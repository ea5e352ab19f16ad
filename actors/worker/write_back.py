"""Writes jobs back in batches: the outcomes of many calls go to Redis at once."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis.exceptions import RedisError

from actors.job import Job
from actors.store import Store
from actors.store.values import BackendState, Beat, Change, Lease

from .milestones import note_all

Outcome = Callable[[Job], Job]

GATHER_S = 0.02  # outcomes that come so soon after a write wait for the next
REFRESH_MS = 1900  # a watched job that stays the same is told again this often
RETRY_S = 0.3

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    lease: Lease
    outcome: Outcome
    backend_state: BackendState
    due_watched_ms: int
    due_idle_ms: int

    def change(self) -> Change:
        """Apply the outcome to the job as it is by now."""
        before = self.lease.job
        after = self.outcome(before)
        if after.differs_from(before) or self._is_due_a_refresh():
            after = after.revised()
        return Change(
            before,
            after,
            self.backend_state,
            self.lease.number,
            self.due_watched_ms,
            self.due_idle_ms,
        )

    def _is_due_a_refresh(self) -> bool:
        silent_ms = self.due_watched_ms - self.lease.told_ms
        has_just_been = 0 <= silent_ms <= REFRESH_MS  # clocks may be put back
        return self.lease.watched and not has_just_been


class WriteBack:
    """A queue of outcomes. While Redis is away they are kept and tried again."""

    def __init__(
        self,
        store: Store,
        send_beats: Callable[[list[Beat]], Awaitable[None]],
        on_failure: Callable[[Lease, Exception], None],
    ) -> None:
        self._store = store
        self._send_beats = send_beats
        self._on_failure = on_failure
        self._entries: list[_Entry] = []
        self._added = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(
        self,
        lease: Lease,
        outcome: Outcome,
        backend_state: BackendState,
        due_watched_ms: int,
        due_idle_ms: int,
    ) -> None:
        """Queue a change.

        It is applied to the newest state, and dropped if we lost the lease.
        """
        self._entries.append(
            _Entry(lease, outcome, backend_state, due_watched_ms, due_idle_ms)
        )
        self._wake()

    async def write_forever(self) -> None:
        """Write whatever is added, at once or soon after."""
        while True:
            await self._added.wait()
            self._added.clear()
            entries, self._entries = self._entries, []
            groups = self._store.grouped(entries, lambda entry: entry.lease.job_id)
            await asyncio.gather(*map(self._try_to_write, groups))
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

    async def _try_to_write(self, entries: list[_Entry]) -> None:
        try:
            await self._write(entries)
        except Exception:
            # Their leases end, then they are polled again.
            logger.exception("%d jobs were not written back.", len(entries))

    async def _write(self, entries: list[_Entry]) -> None:
        entries, changes = self._encoded(entries)
        if not entries:
            return
        try:
            written, beats = await self._store.advance(changes)
            note_all(changes, written)
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
        await self._send_beats(beats)

    def _encoded(self, entries: list[_Entry]) -> tuple[list[_Entry], list[Change]]:
        """Encode each job by itself; one that fails is left out, and fails alone."""
        good, changes = [], []
        for entry in entries:
            try:
                changes.append(entry.change())
                good.append(entry)
            except Exception as error:
                self._on_failure(entry.lease, error)
        return good, changes

    async def _read_again(self, entry: _Entry) -> None:
        job = await self._store.load(entry.lease.job_id)
        if job:
            entry.lease.job = job

    def _keep(self, entries: list[_Entry]) -> None:
        if entries:
            self._entries = entries + self._entries
            self._wake()

    def _wake(self) -> None:
        self._empty.clear()
        self._added.set()
