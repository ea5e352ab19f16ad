"""The hub: one Redis subscription per process, fanned out to every open stream.

Whoever subscribes is registered first and then shown the present, so nothing falls into
a gap; after every loss of Redis the present is shown to all again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

import actors
from actors.store import Store
from actors.store.values import Snapshot, announced
from web.streams.subscriber import Subscriber, Teller

PING_S = 2.0  # a silent Redis is asked whether it is there
SILENCE_S = 5.0  # and taken for lost when it does not answer
RETRY_S = 0.5
ATTEND_S = 2.0
HEARTBEAT_S = 20.0
COME_BACK_MS = (1000, 3000)  # not before this process has let its address go
ROUNDS = 20  # in which the clock goes round once in a heartbeat
READ_AT_ONCE = 500

logger = logging.getLogger(__name__)


class Feed:
    """All open streams of this process and the one connection that feeds them."""

    def __init__(self, store: Store, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._store = store
        self._heartbeat_s = heartbeat_s
        self._subscribers: dict[str, set[Subscriber]] = {}
        self._open: set[Subscriber] = set()
        self._closed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.connected = False
        self.draining = False  # nobody is let in
        self.ending = False  # and everybody is told to leave

    async def __aenter__(self) -> Feed:
        self._tasks = [
            asyncio.create_task(_forever(turn))
            for turn in (self._follow, self._keep_attention, self._keep_time)
        ]
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def subscribe(
        self, teller: Teller | None = None
    ) -> AsyncIterator[Subscriber]:
        """A place in the hub, given up for certain on leaving."""
        subscriber = Subscriber(teller)
        self._open.add(subscriber)
        if self.ending:  # since the stream was let in
            subscriber.ring()
        try:
            yield subscriber
        finally:
            for job in list(subscriber.follows):
                self.leave(subscriber, job)
            self._open.discard(subscriber)
            self._closed.set()

    @property
    def open_streams(self) -> int:
        """How many streams there are."""
        return len(self._open)

    def subscribers_of(self, job: str) -> frozenset[Subscriber]:
        """Who follows a job."""
        return frozenset(self._subscribers.get(job, ()))

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

    async def join(self, subscriber: Subscriber, jobs: Mapping[str, int]) -> None:
        """Follow jobs; each is shown unless the stream has its present revision.

        One that has ended, and of which the stream knows it, is left at once. Raises a
        RedisError where the present cannot be read, and then follows none of them.
        """
        unwatched = [job for job in jobs if job not in self._subscribers]
        for job in jobs:
            subscriber.follow(job)
            self._subscribers.setdefault(job, set()).add(subscriber)
        try:
            present = await self._read(jobs)
        except BaseException:
            for job in jobs:
                self.leave(subscriber, job)
            raise
        for job, snapshot in present:
            known = jobs[job]
            if snapshot and snapshot.finished and snapshot.revision == known:
                self.leave(subscriber, job)
            else:
                subscriber.show(job, snapshot, known)
        subscriber.deliver()
        if unwatched:
            await self._attend(unwatched)

    def take(self, subscriber: Subscriber) -> tuple[list[Snapshot], set[str]]:
        """Hand over what is new, and the jobs that are no more; leave what is over."""
        news, gone = subscriber.take()
        for job in (*gone, *(snapshot.job for snapshot in news if snapshot.finished)):
            self.leave(subscriber, job)
        return news, gone

    def leave(self, subscriber: Subscriber, job: str) -> None:
        """Follow a job no longer."""
        subscriber.forget(job)
        subscribers = self._subscribers.get(job, set())
        subscribers.discard(subscriber)
        if not subscribers:
            self._subscribers.pop(job, None)

    async def _show_all(self) -> None:
        """Show the present to every stream."""
        for job, snapshot in await self._read(self._subscribers):
            for subscriber in self._subscribers.get(job, ()):
                if snapshot:
                    subscriber.offer(snapshot)
                else:
                    subscriber.lose(job)
        for subscriber in self._open:
            subscriber.deliver()

    async def _read(self, jobs: Iterable[str]) -> list[tuple[str, Snapshot | None]]:
        ids = list(jobs)
        present: list[tuple[str, Snapshot | None]] = []
        for first in range(0, len(ids), READ_AT_ONCE):
            some = ids[first : first + READ_AT_ONCE]
            present += zip(some, await self._store.snapshots(some), strict=True)
        return present

    async def _follow(self) -> None:
        """Pass on what comes, for as long as one connection to Redis lasts."""
        try:
            async with self._store.listen() as pubsub:
                await self._hear(pubsub)
        except (RedisError, OSError) as error:
            if self.connected:
                logger.warning("The feed has lost Redis: %s.", error)
        finally:
            self.connected = False
        await asyncio.sleep(RETRY_S * random.uniform(0.2, 1))

    async def _hear(self, pubsub: PubSub) -> None:
        """Pass on what comes, until Redis has been silent for too long."""
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while loop.time() - heard_at < SILENCE_S:
            message = await pubsub.get_message(timeout=PING_S)
            if message is None:
                await pubsub.ping()
                continue
            if message["type"] == "message":
                self._pass_on(message["data"])
            elif message["type"] == "subscribe":
                # Also after redis-py has quietly connected again: there was a gap.
                await self._show_all()
                self.connected = True
            if self.connected or message["type"] != "pong":
                heard_at = loop.time()  # that it answers does not mean that it tells
        raise TimeoutError("Redis is silent")

    def _pass_on(self, payload: bytes) -> None:
        told: set[Subscriber] = set()
        for snapshot in announced(payload):
            if subscribers := self._subscribers.get(snapshot.job):
                told |= subscribers
                for subscriber in subscribers:
                    subscriber.offer(snapshot)
        for subscriber in told:
            subscriber.deliver()

    async def _keep_attention(self) -> None:
        """Tell the workers what is still watched, before they forget it."""
        await asyncio.sleep(ATTEND_S)
        if self._subscribers:
            await self._attend(list(self._subscribers))

    async def _attend(self, jobs: list[str]) -> None:
        try:
            await actors.attend(self._store, jobs)
        except RedisError as error:
            logger.info("Nobody could be told what is watched: %s.", error)

    async def _keep_time(self) -> None:
        """One clock for all streams: a timer for each would be set with each update."""
        await asyncio.sleep(self._heartbeat_s / ROUNDS)
        for subscriber in list(self._open):
            subscriber.stay_quiet(ROUNDS)


async def _forever(turn: Callable[[], Awaitable[None]]) -> None:
    """Do it again and again, whatever goes wrong in one turn: all streams hang on it.

    Where it was `_follow`, the next turn shows the present to all.
    """
    while True:
        try:
            await turn()
        except Exception:
            logger.exception("The hub stumbled, and goes on.")
            await asyncio.sleep(RETRY_S)
