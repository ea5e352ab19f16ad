"""The hub: first the present, then the news, and after every loss the present."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import redis

from actors.store import Store
from actors.store.redis import connect
from actors.store.values import Snapshot
from dev.redis import embedded
from web.streams.hub import Hub
from web.streams.long_poll import LongPoll
from web.streams.subscriber import Subscriber

from .support import jobs
from .support.places import NOTHING, Place, place_in


@pytest.fixture
async def hub(store: Store) -> AsyncIterator[Hub]:
    async with Hub(store) as hub:
        await connected(hub)
        yield hub


async def connected(hub: Hub) -> None:
    async with asyncio.timeout(10):
        while not hub.connected:
            await asyncio.sleep(0.01)


async def news(subscriber: Place) -> list[Snapshot]:
    async with asyncio.timeout(8):
        await subscriber.wait()
    return subscriber.take()[0]


async def newest(subscriber: Place, revision: int) -> Snapshot:
    """Read on until so new a snapshot comes; none may be older than the one before."""
    last = 0
    while True:
        for snapshot in await news(subscriber):
            assert snapshot.revision > last
            last = snapshot.revision
            if last >= revision:
                return snapshot


async def test_the_present_comes_first_then_what_is_newer(
    hub: Hub, store: Store
) -> None:
    job = await jobs.run(store, await jobs.add(store), 10)
    async with place_in(hub) as subscriber:
        await subscriber.join({job.job: 0})
        assert [each.revision for each in await news(subscriber)] == [2]

        await jobs.run(store, job, 20)

        assert [each.revision for each in await news(subscriber)] == [3]


async def test_a_slow_reader_gets_the_newest_and_the_end(
    hub: Hub, store: Store
) -> None:
    job = await jobs.add(store)
    async with place_in(hub) as slow, place_in(hub) as quick:
        await slow.join({job.job: 0})
        await quick.join({job.job: 0})
        for progress in range(1, 30):
            job = await jobs.run(store, job, progress)
        job = await jobs.end(store, job)
        await newest(quick, job.revision)

        told = await news(slow)

    assert [(each.revision, each.finished) for each in told] == [(job.revision, True)]


async def test_an_older_snapshot_never_follows_a_newer() -> None:
    subscriber = Subscriber(LongPoll(), lambda *_: None)
    subscriber.follow("a job")
    subscriber.show("a job", Snapshot("a job", 1, False, b""), 0)
    for revision in (3, 2, 3, 1):
        subscriber.offer(Snapshot("a job", revision, False, b""))

    assert [each.revision for each in subscriber.take()[0]] == [3]
    subscriber.offer(Snapshot("a job", 3, False, b""))
    assert subscriber.take() == NOTHING


class LateStore(Store):
    """A store whose reads take long, and are kept back until the door opens."""

    def __init__(self, redis_url: str) -> None:
        super().__init__(connect(redis_url), job_ttl_s=60, poll_interval_ms=200)
        self.has_read, self.door = asyncio.Event(), asyncio.Event()
        self.door.set()
        self.takes_s = 0.0

    async def snapshots(
        self, jobs: Sequence[str], owner: str | None = None
    ) -> list[Snapshot | None]:
        await asyncio.sleep(self.takes_s)
        read = await super().snapshots(jobs, owner)
        self.has_read.set()
        await self.door.wait()
        return read


async def held_up(
    late: LateStore, subscriber: Place, known: dict[str, int]
) -> asyncio.Task[None]:
    """A join that has read the present, which is kept back."""
    late.has_read.clear()
    late.door.clear()
    joining = asyncio.create_task(subscriber.join(known))
    await late.has_read.wait()
    return joining


@pytest.mark.parametrize("after", [0, 2])
async def test_a_read_that_the_end_has_overtaken_is_not_told(
    store: Store, redis_url: str, after: int
) -> None:
    late = LateStore(redis_url)
    job = await jobs.run(store, await jobs.add(store), 10)
    async with Hub(late) as hub, place_in(hub) as subscriber:
        await connected(hub)
        joining = await held_up(late, subscriber, {job.job: after})
        job = await jobs.end(store, job)
        late.door.set()
        await joining

        assert [each.revision for each in await news(subscriber)] == [job.revision]
        assert subscriber.take() == NOTHING
        assert not hub.subscribers_of(job.job)
    await late.close()


async def test_whoever_joins_while_all_are_shown_the_present_is_not_told_what_it_knows(
    store: Store, redis_url: str, clean_redis: redis.Redis
) -> None:
    late = LateStore(redis_url)
    job = await jobs.run(store, await jobs.add(store), 10)
    async with Hub(late) as hub, place_in(hub) as other, place_in(hub) as mine:
        await connected(hub)
        await other.join({job.job: 0})
        late.has_read.clear()
        late.door.clear()
        clean_redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await late.has_read.wait()  # for all, which is the first to go through the door

        joining = await held_up(late, mine, {job.job: job.revision})
        late.door.set()
        await joining

        assert mine.take() == NOTHING
    await late.close()


async def test_an_end_that_was_taken_is_followed_no_longer(
    hub: Hub, store: Store
) -> None:
    job = await jobs.end(store, await jobs.add(store))
    async with place_in(hub) as subscriber:
        await subscriber.join({job.job: 0})
        assert [each.finished for each in subscriber.take()[0]] == [True]
        assert not hub.subscribers_of(job.job)

        await subscriber.join({job.job: job.revision})

        assert subscriber.take() == NOTHING
        assert not hub.subscribers_of(job.job)


async def test_whoever_comes_while_all_are_told_to_leave_is_told_at_once(
    hub: Hub,
) -> None:
    await hub.drain(0)

    async with place_in(hub) as late:
        async with asyncio.timeout(8):
            await late.wait()


async def test_leaving_leaves_nothing(hub: Hub, store: Store) -> None:
    job = await jobs.add(store)
    for _ in range(1000):
        async with place_in(hub) as subscriber:
            await subscriber.join({job.job: 0})

    assert not hub.subscribers_of(job.job)
    assert hub.open_streams == 0


async def test_whoever_is_cut_off_while_joining_leaves_nothing(
    hub: Hub, store: Store
) -> None:
    """A closed tab may fall into any moment of a call to Redis."""
    job = await jobs.add(store)

    async def stay() -> None:
        async with place_in(hub) as subscriber:
            await subscriber.join({job.job: 0})
            await subscriber.wait()
            await asyncio.Event().wait()

    for steps in range(200):
        task = asyncio.create_task(stay())
        for _ in range(steps % 40):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(task, return_exceptions=True)

    assert not hub.subscribers_of(job.job)
    assert hub.open_streams == 0


async def test_leaving_in_anger_leaves_nothing_either(hub: Hub, store: Store) -> None:
    job = await jobs.add(store)

    async def stay() -> None:
        async with place_in(hub) as subscriber:
            await subscriber.join({job.job: 0})
            while True:
                await subscriber.wait()
                subscriber.take()

    task = asyncio.create_task(stay())
    while not hub.subscribers_of(job.job):
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    async def fail() -> None:
        async with place_in(hub) as subscriber:
            await subscriber.join({job.job: 0})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    assert not hub.subscribers_of(job.job)
    assert hub.open_streams == 0


class QuickStream:
    """A stream that sends all news at once."""

    def __init__(self) -> None:
        self.told: list[Sequence[Snapshot]] = []

    def write_now(self, news: Sequence[Snapshot]) -> bool:
        self.told.append(news)
        return True

    def wake(self) -> None:
        raise AssertionError("All has been told at once.")


async def test_what_is_joined_together_is_told_together(
    hub: Hub, store: Store, clean_redis: redis.Redis
) -> None:
    watched = {(await jobs.add(store)).job: 0 for _ in range(30)}
    stream = QuickStream()
    async with hub.subscribe(stream) as subscriber:
        await hub.join(subscriber, watched, jobs.ALICES)

    assert [len(news) for news in stream.told] == [30]


async def test_what_cannot_be_read_is_not_followed(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise redis.ConnectionError

    job = await jobs.add(store)
    async with place_in(hub) as subscriber:
        with monkeypatch.context() as broken:
            broken.setattr(store, "snapshots", fail)
            with pytest.raises(redis.ConnectionError):
                await subscriber.join({job.job: 0})
        assert not hub.subscribers_of(job.job)

        await subscriber.join({job.job: 0})
        assert [each.revision for each in await news(subscriber)] == [1]


async def test_what_nobody_can_read_on_the_feed_does_not_end_it(
    hub: Hub,
    store: Store,
    clean_redis: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = await jobs.add(store)
    async with place_in(hub) as subscriber:
        await subscriber.join({job.job: 0})
        await news(subscriber)

        clean_redis.publish("progrock:2:feed", "something else")
        job = await jobs.run(store, job, 50)

        assert (await newest(subscriber, job.revision)).revision == job.revision
    assert "The hub stumbled" in caplog.text


async def test_showing_all_may_take_longer_than_redis_may_be_silent(
    redis_url: str, clean_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.store.feed.SILENCE_S", 0.3)
    monkeypatch.setattr("actors.store.feed.PING_S", 0.1)
    late = LateStore(redis_url)
    late.takes_s = 0.5
    job = await jobs.add(late)
    async with Hub(late) as hub, place_in(hub) as subscriber:
        await connected(hub)
        await subscriber.join({job.job: 0})
        late.has_read.clear()
        clean_redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await late.has_read.wait()

        await connected(hub)
    await late.close()


async def test_after_a_lost_connection_the_present_is_shown_again(
    hub: Hub, store: Store, clean_redis: redis.Redis
) -> None:
    job = await jobs.add(store)
    async with place_in(hub) as subscriber:
        await subscriber.join({job.job: 0})
        await news(subscriber)
        for progress in range(1, 6):
            clean_redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            job = await jobs.run(store, job, progress)

            assert (await newest(subscriber, job.revision)).revision == job.revision


async def test_a_redis_that_comes_back_brings_the_present() -> None:
    with embedded(append_only=True) as server:
        store = Store(connect(server.url), job_ttl_s=60, poll_interval_ms=200)
        job = await jobs.add(store)
        async with Hub(store) as hub, place_in(hub) as subscriber:
            await connected(hub)
            await subscriber.join({job.job: 0})
            await news(subscriber)

            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            job = await jobs.run(store, job, 50)

            assert (await newest(subscriber, 2)).revision == job.revision
        await store.close()


async def test_a_job_that_redis_has_forgotten_is_said_to_be_gone() -> None:
    with embedded() as server:
        store = Store(connect(server.url), job_ttl_s=60, poll_interval_ms=200)
        job = await jobs.add(store)
        async with Hub(store) as hub, place_in(hub) as subscriber:
            await connected(hub)
            await subscriber.join({job.job: 0})
            await news(subscriber)

            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

            async with asyncio.timeout(8):
                await subscriber.wait()
            assert subscriber.take() == ([], {job.job})
            assert not hub.subscribers_of(job.job)
        await store.close()


async def test_a_job_whose_key_is_gone_is_said_to_be_gone(
    hub: Hub, store: Store, clean_redis: redis.Redis
) -> None:
    """By DEL, by FLUSHALL, or because Redis was full: Redis does not tell of it."""
    gone, other = await jobs.add(store), await jobs.add(store)
    async with place_in(hub) as subscriber:
        await subscriber.join({gone.job: 0, other.job: 0})
        await news(subscriber)

        clean_redis.delete(f"progrock:2:job:{gone.job}")

        async with asyncio.timeout(5):
            await subscriber.wait()
        assert subscriber.take() == ([], {gone.job})
        assert not hub.subscribers_of(gone.job)
        assert hub.subscribers_of(other.job)


async def test_a_change_between_the_reading_and_the_feed_is_not_lost(
    store: Store, redis_url: str
) -> None:
    """News of a job that nobody watches are not told, so a stream must watch first."""
    late = LateStore(redis_url)
    job = await jobs.run(store, await jobs.add(store), 10)
    async with Hub(late) as hub, place_in(hub) as subscriber:
        await connected(hub)
        late.has_read.clear()
        late.door.clear()
        joining = asyncio.create_task(subscriber.join({job.job: 0}))
        await late.has_read.wait()
        newer = await jobs.run(store, job, 20)
        late.door.set()
        await joining

        assert (await newest(subscriber, newer.revision)).revision == newer.revision
    await late.close()


async def test_the_first_watcher_is_told_to_the_workers(
    hub: Hub, store: Store, clean_redis: redis.Redis
) -> None:
    job = await jobs.add(store)
    async with place_in(hub) as subscriber:
        await subscriber.join({job.job: 0})

    until = clean_redis.hget(f"progrock:2:job:{job.job}", "watched_until")
    assert int(until or 0) > 0


async def test_the_end_is_told_though_redis_has_lost_what_came_before(
    hub: Hub, store: Store, clean_redis: redis.Redis
) -> None:
    early = await jobs.run(store, await jobs.add(store), 10)
    key = f"progrock:2:job:{early.job}"
    kept = clean_redis.hgetall(key)
    job = early
    async with place_in(hub) as subscriber:
        for progress in (20, 30, 40):
            job = await jobs.run(store, job, progress)
        await subscriber.join({job.job: 0})
        assert (await newest(subscriber, job.revision)).revision == job.revision

        clean_redis.hset(key, mapping=kept)  # as a killed Redis comes back
        ended = await jobs.end(store, early)

        assert ended.revision < job.revision
        [told] = await news(subscriber)
        assert (told.revision, told.finished) == (ended.revision, True)


@pytest.mark.parametrize("ends", [False, True])
async def test_anothers_job_is_never_told_not_even_while_it_is_read(
    store: Store, redis_url: str, ends: bool
) -> None:
    late = LateStore(redis_url)
    job = await jobs.run(store, await jobs.add(store), 10)
    async with Hub(late) as hub, place_in(hub) as stranger:
        await connected(hub)
        late.has_read.clear()
        late.door.clear()
        joining = asyncio.create_task(stranger.join({job.job: 0}, owner="token-bob"))
        await late.has_read.wait()
        async with place_in(hub) as owner:
            await (jobs.end(store, job) if ends else jobs.run(store, job, 20))
            late.door.set()
            await owner.join({job.job: 0})
            await news(owner)

        assert await joining == {}
        assert stranger.take() == ([], {job.job})
        assert not hub.subscribers_of(job.job)
    await late.close()


async def test_anothers_job_is_not_polled_faster_for_a_stranger(
    hub: Hub, store: Store, clean_redis: redis.Redis
) -> None:
    job = await jobs.add(store)
    async with place_in(hub) as stranger:
        await stranger.join({job.job: 0}, owner="token-bob")

    assert clean_redis.hget(f"progrock:2:job:{job.job}", "watched_until") == b"0"


async def test_anothers_job_is_not_told_to_a_stream_that_is_slow(
    hub: Hub, store: Store
) -> None:
    """It has not been told yet that the job is gone for it."""
    job = await jobs.run(store, await jobs.add(store), 10)
    async with place_in(hub) as stranger, place_in(hub) as owner:
        await owner.join({job.job: 0})
        await news(owner)
        await stranger.join({job.job: 0}, owner="token-bob")

        await jobs.run(store, job, 20)
        await news(owner)

        assert stranger.take() == ([], {job.job})
