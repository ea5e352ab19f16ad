"""One stream's place in the hub: what it follows, and what it has yet to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from actors.store.values import Snapshot


class Teller(Protocol):
    """A stream, as the hub sees it."""

    def tell_at_once(self, news: Sequence[Snapshot]) -> bool:
        """Send it without waiting; False where that cannot be."""

    def tell_soon(self) -> None:
        """Begin to send what there is, until the subscriber is not rung any more."""


class Subscriber:
    """One stream's place in the hub: the newest snapshot of each job, not a queue.

    Without a `teller` one waits here for what there is to tell.
    """

    __slots__ = (
        *("follows", "_teller", "_unread", "_news", "_gone", "_is_rung", "_is_busy"),
        *("_waiting", "_quiet_rounds"),
    )

    def __init__(self, teller: Teller | None = None) -> None:
        self._teller = teller
        self.follows: dict[str, int] = {}  # each job, and the revision that it has
        self._unread: dict[str, Snapshot | None] | None = None
        self._news: dict[str, Snapshot] = {}
        self._gone: set[str] = set()
        self._is_rung = False
        self._is_busy = False  # its teller is at work
        self._waiting: asyncio.Future[None] | None = None
        self._quiet_rounds = 0

    def follow(self, job: str) -> None:
        """Be open to a job, of which the present is not known yet.

        What is announced of it may be long past, so it is kept until `show`.
        """
        self.follows[job] = 0
        if self._unread is None:
            self._unread = {}
        self._unread[job] = None

    def show(self, job: str, present: Snapshot | None, known: int) -> None:
        """Take the present of a job unless it is known, and what was kept till now."""
        kept = self._stop_keeping(job)
        if present is None:
            self.lose(job)
        elif present.revision != known:
            self.offer(present)
        elif self._lacks(present):
            self.follows[job] = known
            self._news.pop(job, None)  # from before it was asked for again
        if kept:
            self.offer(kept)

    def offer(self, snapshot: Snapshot) -> None:
        """Take a snapshot that is newer than what this stream has, to be delivered."""
        if self._unread and snapshot.job in self._unread and not snapshot.finished:
            kept = self._unread[snapshot.job]
            if kept is None or snapshot.revision > kept.revision:
                self._unread[snapshot.job] = snapshot
        elif self._lacks(snapshot):
            self.follows[snapshot.job] = snapshot.revision
            self._news[snapshot.job] = snapshot

    def lose(self, job: str) -> None:
        """Hear that a job is no more, to be delivered."""
        if job in self.follows:
            self._news.pop(job, None)
            self._gone.add(job)

    def deliver(self) -> None:
        """Have what was taken sent: at once, or when the stream wakes."""
        if (self._news or self._gone) and not self._has_sent_all():
            self.ring()

    def forget(self, job: str) -> None:
        self.follows.pop(job, None)
        self._stop_keeping(job)
        self._news.pop(job, None)
        self._gone.discard(job)

    def ring(self) -> None:
        """Have its stream look, also where there is nothing new."""
        self._is_rung = True
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)
        if self._teller and not self._is_busy:
            self._is_busy = True
            self._teller.tell_soon()

    def look_again(self) -> bool:
        """Whether its teller has been rung again; it is idle where not."""
        self._is_busy, self._is_rung = self._is_rung, False
        return self._is_busy

    def stay_quiet(self, most_rounds: int) -> None:
        """Hear that time passes; after so many rounds without news, `wait` returns."""
        self._quiet_rounds += 1
        if self._quiet_rounds >= most_rounds:
            self.ring()

    async def wait(self) -> None:
        """Wait for news, for a heartbeat to be due, or for the end of the feed."""
        if not self._is_rung:  # a bare future: an Event costs a kilobyte
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        self._is_rung = False

    def take(self) -> tuple[list[Snapshot], set[str]]:
        """Hand over what is new, and the jobs that are no more."""
        self._quiet_rounds = 0
        news, self._news = list(self._news.values()), {}
        gone, self._gone = self._gone, set()
        return news, gone

    def _stop_keeping(self, job: str) -> Snapshot | None:
        """Return the newest that came while the present was being read."""
        kept = self._unread.pop(job, None) if self._unread else None
        self._unread = self._unread or None
        return kept

    def _has_sent_all(self) -> bool:
        """Send all that is new at once, unless more is to be done about it."""
        if self._teller is None or self._is_busy or self._gone:
            return False
        news = list(self._news.values())
        if any(snapshot.finished for snapshot in news) or not self._teller.tell_at_once(
            news
        ):
            return False
        self._news.clear()
        self._quiet_rounds = 0
        return True

    def _lacks(self, snapshot: Snapshot) -> bool:
        """False also for a job that was left while it was being read.

        An end counts whatever its revision: a Redis that was killed may have lost its
        last writes, and then counts anew.
        """
        has = self.follows.get(snapshot.job)
        return has is not None and (snapshot.revision > has or snapshot.finished)
