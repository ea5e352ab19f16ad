"""One stream's place in the hub: the jobs that it follows, and its unsent news."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from actors import Snapshot

from .counts import SKIPPED


class Listener(Protocol):
    """A stream, as the hub sees it."""

    def write_now(self, news: Sequence[Snapshot]) -> bool:
        """Send news without waiting and return True; return False if it cannot."""

    def wake(self) -> None:
        """Begin to send the news, until `Subscriber.take_ring` returns False."""


class News(NamedTuple):
    """New snapshots, and the jobs that are no more."""

    snapshots: list[Snapshot]
    gone: set[str]


class Subscriber:
    """The newest unsent snapshot of each job that a stream follows."""

    __slots__ = (
        *("follows", "_stream", "_leave", "_unread", "_news", "_gone"),
        *("_is_rung", "_is_sending", "_quiet_rounds"),
    )

    def __init__(
        self, stream: Listener, leave: Callable[[Subscriber, str], None]
    ) -> None:
        self._stream = stream
        self._leave = leave
        self.follows: dict[str, int] = {}  # each job, and the revision that it has
        self._unread: dict[str, Snapshot | None] | None = None
        self._news: dict[str, Snapshot] = {}
        self._gone: set[str] = set()
        self._is_rung = False
        self._is_sending = False
        self._quiet_rounds = 0

    def follow(self, job_id: str) -> None:
        """Follow a job whose present has not been read yet.

        Announcements may be older than the present, and the job may be somebody else's.
        So they are kept until `show`.
        """
        self.follows[job_id] = 0
        if self._unread is None:
            self._unread = {}
        self._unread[job_id] = None

    def show(self, job_id: str, present: Snapshot | None, known: int) -> None:
        """Take the present of a job unless the client knows it, then the kept news."""
        kept = self._stop_keeping(job_id)
        if present is None:
            self.lose(job_id)
            return
        if present.revision != known:
            self.offer(present)
        elif self._lacks(present):
            self.follows[job_id] = known
            self._news.pop(job_id, None)  # from before it was asked for again
        if kept:
            self.offer(kept)

    def offer(self, snapshot: Snapshot) -> None:
        """Take a snapshot if it is newer than the stream's, to be delivered."""
        job_id = snapshot.job
        if job_id in self._gone:  # it may be somebody else's
            return
        if self._unread and job_id in self._unread:
            if _is_newer(snapshot, self._unread[job_id]):
                self._unread[job_id] = snapshot
        elif self._lacks(snapshot):
            if job_id in self._news:
                SKIPPED[()] += 1
            self.follows[job_id] = snapshot.revision
            self._news[job_id] = snapshot

    def lose(self, job_id: str) -> None:
        """Note that a job is no more, to be delivered."""
        if job_id in self.follows:
            self._news.pop(job_id, None)
            self._gone.add(job_id)

    def deliver(self) -> None:
        """Have the news sent: at once, or when the stream wakes."""
        if (self._news or self._gone) and not self._write_now():
            self.ring()

    def forget(self, job_id: str) -> None:
        self.follows.pop(job_id, None)
        self._stop_keeping(job_id)
        self._news.pop(job_id, None)
        self._gone.discard(job_id)

    def ring(self) -> None:
        """Wake the stream, also if there is nothing new."""
        self._is_rung = True
        if not self._is_sending:
            self._is_sending = True
            self._stream.wake()

    def take_ring(self) -> bool:
        """Return True if something new came while the stream was sending."""
        self._is_sending, self._is_rung = self._is_rung, False
        return self._is_sending

    def pass_time(self, max_rounds: int) -> None:
        """Count a quiet round; after `max_rounds` the stream wakes for a heartbeat."""
        self._quiet_rounds += 1
        if self._quiet_rounds >= max_rounds:
            self.ring()

    def take(self) -> News:
        """Hand over the news, and leave the jobs that are over."""
        self._quiet_rounds = 0
        news, self._news = self._news, {}
        gone, self._gone = self._gone, set()
        for job_id in gone:
            self._leave(self, job_id)
        for snapshot in news.values():
            if snapshot.finished:
                self._leave(self, snapshot.job)
        return News(list(news.values()), gone)

    def _stop_keeping(self, job_id: str) -> Snapshot | None:
        """Return the newest that came while the present was being read."""
        kept = self._unread.pop(job_id, None) if self._unread else None
        self._unread = self._unread or None
        return kept

    def _write_now(self) -> bool:
        """Send all news at once and return True, unless more must be done about it."""
        if self._is_sending or self._gone:
            return False
        news = list(self._news.values())
        if any(snapshot.finished for snapshot in news):
            return False
        if not self._stream.write_now(news):
            return False
        self._news.clear()
        self._quiet_rounds = 0
        return True

    def _lacks(self, snapshot: Snapshot) -> bool:
        """True if the stream follows the job and has nothing so new of it.

        An end counts whatever its revision: a Redis that was killed may have lost its
        last writes, and then counts anew.
        """
        has = self.follows.get(snapshot.job)
        return has is not None and (snapshot.revision > has or snapshot.finished)


def _is_newer(snapshot: Snapshot, kept: Snapshot | None) -> bool:
    if kept is None or snapshot.finished:
        return True
    return snapshot.revision > kept.revision and not kept.finished
