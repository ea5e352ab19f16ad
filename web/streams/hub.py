"""The hub: news of the watched partitions, fanned out to every open stream.

A subscriber is registered first and then shown the present, so there is no gap; after
every loss of Redis the present is shown to all again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

import actors
from actors import Snapshot, Store, announced

from .counts import RESYNCS, see_age
from .first_frames import FirstFrames
from .follower import Follower
from .subscriber import Listener, Subscriber

RETRY_S = 0.5
ATTEND_S = 2.0
HEARTBEAT_S = 20.0
ROUNDS = 20  # of the clock in one heartbeat
READ_AT_ONCE = 500
ATTEND_AT_ONCE = 250  # a script holds up all others

logger = logging.getLogger(__name__)


class Hub:
    """All open streams of this process, and the follower that feeds them."""

    def __init__(self, store: Store, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._store = store
        self._heartbeat_s = heartbeat_s
        self._subscribers: dict[str, set[Subscriber]] = {}
        self._open: set[Subscriber] = set()
        self._closed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._firsts = FirstFrames()
        self._follower = Follower(store, self._pass_on, self._show_all)
        self.draining = False  # nobody is let in
        self.ending = False  # and everybody is told to leave

    async def __aenter__(self) -> Hub:
        self._tasks = [
            asyncio.create_task(_forever(turn))
            for turn in (self._follower.follow, self._keep_attention, self._keep_time)
        ]
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def subscribe(self, stream: Listener) -> AsyncIterator[Subscriber]:
        """Give a stream a place, until the block is left."""
        subscriber = Subscriber(stream, self.leave)
        self._open.add(subscriber)
        if self.ending:  # since the stream was let in
            subscriber.ring()
        try:
            yield subscriber
        finally:
            for job_id in list(subscriber.follows):
                self.leave(subscriber, job_id)
            self._open.discard(subscriber)
            self._closed.set()

    @property
    def connected(self) -> bool:
        """True while news are heard."""
        return self._follower.connected

    @property
    def open_streams(self) -> int:
        """The number of open streams."""
        return len(self._open)

    def subscribers_of(self, job_id: str) -> frozenset[Subscriber]:
        """All that follow a job."""
        return frozenset(self._subscribers.get(job_id, ()))

    async def drain(self, patience_s: float, notice_s: float = 0) -> None:
        """Have every stream end, and wait for them, but not for ever.

        At first nobody is let in and readiness says so; after `notice_s` every stream
        is told.
        """
        self.draining = True
        await asyncio.sleep(notice_s)
        self.ending = True
        for subscriber in self._open:
            subscriber.ring()
        try:
            async with asyncio.timeout(patience_s):
                while self._open:
                    self._closed.clear()
                    await self._closed.wait()
        except TimeoutError:
            logger.warning("%d streams did not end in time.", len(self._open))

    async def join(
        self, subscriber: Subscriber, jobs: Mapping[str, int], owner: str
    ) -> dict[str, Snapshot]:
        """Follow an owner's jobs; each is shown unless the client has its revision.

        If a job has ended and the client knows it, the job is not followed. A job of
        another owner is reported as gone. Returns the present of all the owner's jobs.
        Raises a RedisError if it cannot be read, and then follows none of them.
        """
        unwatched = [job_id for job_id in jobs if job_id not in self._subscribers]
        for job_id in jobs:
            subscriber.follow(job_id)
            self._subscribers.setdefault(job_id, set()).add(subscriber)
        try:
            for channel in self._channels_of(jobs):
                await self._follower.want(channel)
            await self._attend(unwatched, owner)
            present = await self._read(jobs, owner)
        except BaseException:
            for job_id in jobs:
                self.leave(subscriber, job_id)
            raise
        for job_id, known in jobs.items():
            snapshot = present.get(job_id)
            if snapshot and snapshot.finished and snapshot.revision == known:
                self.leave(subscriber, job_id)
            else:
                subscriber.show(job_id, snapshot, known)
        subscriber.deliver()
        return present

    def leave(self, subscriber: Subscriber, job_id: str) -> None:
        """Follow a job no longer."""
        subscriber.forget(job_id)
        subscribers = self._subscribers.get(job_id, set())
        subscribers.discard(subscriber)
        if not subscribers:
            self._subscribers.pop(job_id, None)

    async def _show_all(self, channel: str) -> None:
        """Show the present of a channel's jobs to every stream."""
        RESYNCS[()] += 1
        channel_of = self._store.channel_of
        jobs = [job_id for job_id in self._subscribers if channel_of(job_id) == channel]
        await self._attend(jobs)
        present = await self._read(jobs)
        for job_id in jobs:
            snapshot = present.get(job_id)
            for subscriber in self._subscribers.get(job_id, ()):
                if snapshot:
                    subscriber.offer(snapshot)
                else:
                    subscriber.lose(job_id)
        for subscriber in self._open:
            subscriber.deliver()

    async def _read(
        self, jobs: Iterable[str], owner: str | None = None
    ) -> dict[str, Snapshot]:
        present: dict[str, Snapshot] = {}
        for some in _pieces(jobs, READ_AT_ONCE):
            for snapshot in await self._store.snapshots(some, owner):
                if snapshot:
                    present[snapshot.job] = snapshot
        return present

    def _pass_on(self, payload: bytes) -> None:
        told: set[Subscriber] = set()
        shown: list[Snapshot] = []
        for snapshot in announced(payload):
            if subscribers := self._subscribers.get(snapshot.job):
                told |= subscribers
                shown.append(snapshot)
                for subscriber in subscribers:
                    subscriber.offer(snapshot)
        for subscriber in told:
            subscriber.deliver()
        if shown:
            see_age(shown[-1])
            self._firsts.see(shown)

    async def _keep_attention(self) -> None:
        """Tell the workers which jobs are still watched, before they forget it.

        A job that is no more is announced by nobody: this is how its streams learn it.
        """
        pieces = list(_pieces(self._subscribers, ATTEND_AT_ONCE)) or [[]]
        for jobs in pieces:
            await asyncio.sleep(ATTEND_S / len(pieces))
            for job_id in await self._attend(jobs):
                self._lose(job_id)
        for channel in self._follower.extra:
            if channel not in self._channels_of(self._subscribers):  # by now
                await self._follower.drop(channel)

    async def _attend(self, jobs: list[str], owner: str | None = None) -> list[str]:
        """Returns the jobs that are no more, or are not the owner's."""
        gone: list[str] = []
        try:
            for some in _pieces(jobs, ATTEND_AT_ONCE):
                gone += await actors.attend(self._store, some, owner=owner)
        except RedisError as error:
            logger.info("The workers could not be told of watched jobs: %s.", error)
        return gone

    def _channels_of(self, jobs: Iterable[str]) -> set[str]:
        return {self._store.channel_of(job_id) for job_id in jobs}

    def _lose(self, job_id: str) -> None:
        for subscriber in self._subscribers.get(job_id, ()):
            subscriber.lose(job_id)
            subscriber.deliver()

    async def _keep_time(self) -> None:
        """One clock for all streams: a timer for each would be set with each update."""
        await asyncio.sleep(self._heartbeat_s / ROUNDS)
        for subscriber in list(self._open):
            subscriber.pass_time(ROUNDS)


def _pieces(jobs: Iterable[str], size: int) -> Iterable[list[str]]:
    ids = list(jobs)
    for first in range(0, len(ids), size):
        yield ids[first : first + size]


async def _forever(turn: Callable[[], Awaitable[None]]) -> None:
    """Do it again and again, whatever fails in one turn: all streams depend on it.

    If the follower failed, its next turn shows the present to all.
    """
    while True:
        try:
            await turn()
        except Exception:
            logger.exception("The hub stumbled, and goes on.")
            await asyncio.sleep(RETRY_S)
