"""Anything that happens to hub, store, Redis and readers, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

import redis
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from actors import Job
from actors.store import Store
from actors.store.redis import connect
from actors.store.values import Snapshot
from dev.redis import Server, embedded
from web.streams.hub import Hub
from web.streams.subscriber import Subscriber

from .support import jobs

T = TypeVar("T")

PATIENCE_S = 4


class Reader:
    """One stream on one job, and the present at the moment when it came."""

    def __init__(self, hub: Hub, job: str, revision: int) -> None:
        self.job, self.present = job, revision
        self.told: list[Snapshot] = []
        self._hub = hub
        self._stack = AsyncExitStack()
        self._woken = asyncio.Event()
        self._subscriber: Subscriber | None = None

    async def come(self) -> None:
        place = self._hub.subscribe(self)
        self._subscriber = await self._stack.enter_async_context(place)
        await self._hub.join(self._subscriber, {self.job: 0}, jobs.ALICES)

    def write_now(self, news: Sequence[Snapshot]) -> bool:
        return False

    def wake(self) -> None:
        self._woken.set()

    async def leave(self) -> None:
        await self._stack.aclose()

    def take(self) -> None:
        """Read all that is there; each is newer than the one before."""
        if self._subscriber is None:
            return
        self._subscriber.take_ring()
        news = self._subscriber.take()
        assert not news.gone
        self.hear(news.snapshots)

    def hear(self, news: Sequence[Snapshot]) -> None:
        for snapshot in news:
            assert snapshot.job == self.job
            if self.told:
                assert snapshot.revision > self.told[-1].revision
            else:
                assert snapshot.revision >= self.present
            self.told.append(snapshot)

    async def read_up_to(self, revision: int) -> None:
        """Read on until the job's last revision has come."""
        assert self._subscriber
        self.take()
        while not (self.told and self.told[-1].revision == revision):
            async with asyncio.timeout(PATIENCE_S):
                while not self._subscriber.take_ring():
                    self._woken.clear()
                    await self._woken.wait()
            self.take()


class PromptReader(Reader):
    """A stream that is written to at once, or by its own task while it is slow."""

    is_slow = False

    def write_now(self, news: Sequence[Snapshot]) -> bool:
        if not self.is_slow:
            self.hear(news)
        return not self.is_slow

    def wake(self) -> None:
        self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        assert self._subscriber
        while self._subscriber.take_ring():
            news = self._subscriber.take()
            assert not news.gone
            self.hear(news.snapshots)
            await asyncio.sleep(0.001)  # as sending takes its time

    def take(self) -> None:
        """Its task takes the news."""

    async def read_up_to(self, revision: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not (self.told and self.told[-1].revision == revision):
                await asyncio.sleep(0.005)


class TardyStore(Store):
    """A store whose reads may arrive late, after later announcements."""

    late_s = 0.0

    async def snapshots(
        self, jobs: Sequence[str], owner: str | None = None
    ) -> list[Snapshot | None]:
        read = await super().snapshots(jobs, owner)
        await asyncio.sleep(self.late_s)
        return read


class FeedMachine(RuleBasedStateMachine):
    """Jobs move, readers come, dawdle and go, and Redis has its days.

    A worker is another process: while it moves a job, the hub may stand still or run.
    """

    server: Server  # one for all runs
    moving = Bundle("moving")
    readers = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self._loop, self._worker = asyncio.Runner(), asyncio.Runner()
        self._redis = redis.Redis.from_url(self.server.url)
        self._store, self._workers = self._opened(), self._opened()
        self._hub = Hub(self._store)
        self._now: dict[str, Job] = {}
        self._here: list[Reader] = []
        self._do(self._hub.__aenter__())
        self.the_hub_is_there()

    def _opened(self) -> TardyStore:
        return TardyStore(connect(self.server.url), job_ttl_s=60, poll_interval_ms=200)

    def _do(self, work: Awaitable[T]) -> T:
        async def limited() -> T:
            async with asyncio.timeout(3 * PATIENCE_S):
                return await work

        return self._loop.run(limited())

    def _work(self, work: Coroutine[None, None, T]) -> T:
        """Let the worker do something while the hub stands still."""
        return self._worker.run(work)

    async def _move(self, store: Store, id: str, times: int) -> None:
        for _ in range(times):
            job = self._now[id]
            progress = min(99.0, (job.progress or 0) + 0.5)
            self._now[id] = await jobs.run(store, job, progress)

    @initialize(target=moving)
    def some_job_is_there(self) -> str:
        return self.a_job_begins()

    @rule(target=moving)
    def a_job_begins(self) -> str:
        job = self._work(jobs.add(self._workers))
        self._now[job.job] = job
        return job.job

    @rule(id=moving, times=st.integers(1, 5))
    def it_moves(self, id: str, times: int) -> None:
        self._work(self._move(self._workers, id, times))

    @rule(id=consumes(moving))
    def it_ends(self, id: str) -> None:
        self._now[id] = self._work(jobs.end(self._workers, self._now[id]))

    @rule(target=readers, kind=st.sampled_from([Reader, PromptReader]), data=st.data())
    def a_reader_comes(self, kind: type[Reader], data: st.DataObject) -> object:
        if not self._now:
            return multiple()
        id = data.draw(st.sampled_from(sorted(self._now)))
        reader = kind(self._hub, id, self._now[id].revision)
        self._do(reader.come())
        self._here.append(reader)
        return reader

    @rule(
        target=readers,
        kind=st.sampled_from([Reader, PromptReader]),
        id=moving,
        times=st.integers(1, 5),
    )
    def a_reader_comes_while_its_job_moves(
        self, kind: type[Reader], id: str, times: int
    ) -> Reader:
        reader = kind(self._hub, id, self._now[id].revision)

        async def both() -> None:
            coming = asyncio.create_task(reader.come())
            await self._move(self._store, id, times)
            while not coming.done():
                reader.take()
                await asyncio.sleep(0.001)
            await coming

        self._do(both())
        self._here.append(reader)
        return reader

    @rule()
    def all_read(self) -> None:
        for reader in self._here:
            reader.take()

    @rule(reader=readers)
    def one_reads(self, reader: Reader) -> None:
        reader.take()

    @rule(is_slow=st.booleans())
    def all_become_slow_or_quick(self, is_slow: bool) -> None:
        for reader in self._here:
            if isinstance(reader, PromptReader):
                reader.is_slow = is_slow

    @rule(reader=consumes(readers))
    def one_leaves(self, reader: Reader) -> None:
        self._here.remove(reader)
        self._do(reader.leave())
        reader_count = sum(each.job == reader.job for each in self._here)
        assert len(self._hub.subscribers_of(reader.job)) <= reader_count

    @rule(kind=st.sampled_from(["pubsub", "normal"]))
    def redis_cuts_connections(self, kind: str) -> None:
        self._redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    @rule(ms=st.integers(1, 30))
    def redis_pauses(self, ms: int) -> None:
        self._redis.execute_command("CLIENT", "PAUSE", ms, "ALL")

    @rule(ms=st.sampled_from([0, 1, 20]))
    def redis_answers_late(self, ms: int) -> None:
        self._store.late_s = ms / 1000

    @rule(ms=st.sampled_from([0, 1, 20]))
    def time_passes(self, ms: int) -> None:
        self._do(asyncio.sleep(ms / 1000))

    @rule()
    def the_hub_is_there(self) -> None:
        async def connected() -> None:
            while not self._hub.connected:
                await asyncio.sleep(0.005)

        self._do(connected())

    @invariant()
    def as_many_streams_are_open_as_readers_are_here(self) -> None:
        assert self._hub.open_streams == len(self._here)

    def teardown(self) -> None:
        try:
            self.redis_cuts_connections("pubsub")
            for id, job in self._now.items():
                if not job.finished:
                    self._now[id] = self._work(jobs.end(self._workers, job))
            for reader in self._here:
                self._do(reader.read_up_to(self._now[reader.job].revision))
                assert [each.finished for each in reader.told].count(True) == 1
                self._do(reader.leave())
        finally:
            self._do(self._hub.__aexit__())
            self._do(self._store.close())
            self._work(self._workers.close())
            self._redis.close()
            self._loop.close()
            self._worker.close()


def test_every_reader_sees_the_present_then_what_is_newer_then_the_end() -> None:
    with embedded() as server:
        FeedMachine.server = server
        run_state_machine_as_test(
            FeedMachine,
            settings=settings(
                max_examples=50,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
