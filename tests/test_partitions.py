"""Jobs in several partitions: each owner's in one, and all of them served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import redis
from dramatiq.brokers.stub import StubBroker
from hypothesis import given, strategies as st
from redis.crc import key_slot

from actors import Action, Status, Store, TooManyJobsError, request, submit
from actors.settings import MAX_PARTITIONS, SettingError, Settings
from actors.store.redis import connect
from actors.store.tags import tag_of, tagged, tags, untagged
from web.streams.hub import Hub

from .support.kitchen import AWAY, DONE, Kitchen, Oven, at, working
from .support.places import place_in

PARTITIONS = 8
WIDE = "token-cook"
OWNERS = [f"visitor-{n}" for n in range(40)]


def spread(
    redis_url: str, partitions: int = PARTITIONS, wide: frozenset[str] = frozenset()
) -> Store:
    return Store(
        connect(redis_url),
        job_ttl_s=60,
        poll_interval_ms=200,
        partitions=partitions,
        wide_owners=wide,
    )


@pytest.fixture
async def store(clean_redis: redis.Redis, redis_url: str) -> AsyncIterator[Store]:
    store = spread(redis_url, wide=frozenset([WIDE]))
    yield store
    await store.close()


@pytest.fixture
async def kitchen(store: Store, redis_url: str) -> AsyncIterator[Kitchen]:
    broker, many = StubBroker(middleware=[]), {"partitions": PARTITIONS}
    async with working(broker, store, Oven(), redis_url, 10, **many) as ours:
        yield ours


async def started(kitchen: Kitchen, owner: str, key: str | None = None) -> str:
    return (await submit(kitchen.store, kitchen.oven, {}, owner=owner, key=key)).job


async def listed(store: Store, owner: str, limit: int = 100) -> list[str]:
    """All jobs of an owner, page by page."""
    found, cursor = [], None
    while True:
        page = await store.owned.page(owner, status=None, limit=limit, cursor=cursor)
        found += [snapshot.job for snapshot in page.snapshots]
        cursor = page.cursor
        if cursor is None:
            return found


# Tags


@given(st.sampled_from([1, 2, 3, 16, 100, MAX_PARTITIONS]))
def test_tags_lie_evenly_and_those_of_fewer_are_the_first(number: int) -> None:
    some = tags(number)

    assert len(set(some)) == number
    assert some == tags(MAX_PARTITIONS)[:number]
    slots = sorted(key_slot(tag.encode()) for tag in tags(16))
    assert all(900 < b - a < 1150 for a, b in pairwise(slots))


@given(st.text(alphabet="abz09-_:~.", max_size=30))
def test_a_name_that_has_no_tag_is_left_as_it_is(name: str) -> None:
    [tag] = tags(1)

    assert untagged(tagged(tag, name)) == name
    assert tag_of(tagged(tag, name)) == tag
    if tag_of(name) == "":
        assert untagged(name) == name


# Owners


async def test_each_owners_jobs_are_in_one_partition_and_all_are_served(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.answers = [DONE]

    jobs = {owner: [await started(kitchen, owner) for _ in "ab"] for owner in OWNERS}

    for owner, theirs in jobs.items():
        for job in theirs:
            assert (await kitchen.end(job)).status is Status.SUCCEEDED
        assert len({tag_of(job) for job in theirs}) == 1
        assert set(await listed(kitchen.store, owner)) == set(theirs)
    assert {tag_of(job) for theirs in jobs.values() for job in theirs} == set(
        tags(PARTITIONS)
    )


async def test_the_jobs_of_a_wide_owner_are_everywhere_and_listed_in_order(
    kitchen: Kitchen,
) -> None:
    jobs = [await started(kitchen, WIDE) for _ in range(60)]

    assert len({tag_of(job) for job in jobs}) > PARTITIONS / 2
    found = await listed(kitchen.store, WIDE)
    assert sorted(found) == sorted(jobs)
    # Some were made in the same millisecond.
    places = [jobs[::-1].index(job) for job in found]
    assert all(abs(place - n) < 8 for n, place in enumerate(places))
    for limit in (1, 7):
        assert await listed(kitchen.store, WIDE, limit) == found


async def test_the_same_key_gives_a_wide_owner_the_same_job(kitchen: Kitchen) -> None:
    jobs = {await started(kitchen, WIDE, f"key-{n % 5}") for n in range(20)}

    assert len(jobs) == 5


async def test_an_owner_has_so_many_active_jobs_over_all_partitions(
    kitchen: Kitchen,
) -> None:
    for _ in range(6):
        await submit(kitchen.store, kitchen.oven, {}, owner=WIDE, max_active=6)

    with pytest.raises(TooManyJobsError):
        await submit(kitchen.store, kitchen.oven, {}, owner=WIDE, max_active=6)


async def test_a_start_that_comes_again_is_no_start_beyond_the_limit(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.answers = [DONE]
    first = await started(kitchen, WIDE, "key")
    await kitchen.end(first)
    kitchen.oven.answers = [at(10)]
    others = 0
    while others < 4:  # active, and all in other partitions
        others += tag_of(await started(kitchen, WIDE)) != tag_of(first)

    again = await submit(
        kitchen.store, kitchen.oven, {}, owner=WIDE, max_active=4, key="key"
    )

    assert again.job == first


async def test_the_largest_number_of_partitions_is_known_whoever_notes_it_last(
    clean_redis: redis.Redis, redis_url: str
) -> None:
    stores = {number: spread(redis_url, number) for number in (16, 4, 2)}
    await asyncio.gather(*(listed(store, "ann") for store in stores.values()))
    for store in stores.values():
        await store.learn_partitions()

    assert {len(store.channels) for store in stores.values()} == {17}
    for store in stores.values():
        await store.close()


async def test_an_unknown_tag_is_no_such_job(store: Store) -> None:
    names = ["zz~job", "~job", "job", "~", f"{tags(1)[0]}~nothing", "a~b~c"]
    assert await store.snapshots(names) == [None] * len(names)


# Backends


async def test_a_backend_that_takes_only_so_many_counts_all_owners(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.most_active = 3
    jobs = [await started(kitchen, owner) for owner in OWNERS[:9]]

    async def places() -> list[int | None]:
        return [(await kitchen.job(job)).queue_place for job in jobs]

    async with asyncio.timeout(10):
        while sorted(filter(None, await places())) != [1, 2, 3, 4, 5, 6]:
            await asyncio.sleep(0.01)
    assert len(kitchen.oven.started) == 3
    kitchen.oven.answers = [DONE]
    for job in jobs:
        assert (await kitchen.end(job)).complete
    for owner, job in zip(OWNERS, jobs, strict=False):
        assert await listed(kitchen.store, owner) == [job]


async def test_a_backend_that_is_away_is_left_alone_by_all_partitions(
    kitchen: Kitchen,
) -> None:
    jobs = [await started(kitchen, owner) for owner in OWNERS[:12]]
    for job in jobs:
        await kitchen.until(job, lambda job: job.started_at)
    kitchen.oven.answers = [AWAY]
    for job in jobs:
        await kitchen.until(job, lambda job: not job.reachable)
    asked, began = len(kitchen.oven.asked), time.monotonic()
    await kitchen.happens(lambda: len(kitchen.oven.asked) >= asked + 4)
    assert time.monotonic() - began > 0.5  # all twelve were asked every 50 ms before

    kitchen.oven.answers = [at(50), DONE]
    for job in jobs:
        assert (await kitchen.end(job)).complete


async def test_a_job_in_a_partition_is_stopped(kitchen: Kitchen) -> None:
    job = await started(kitchen, OWNERS[0])
    await kitchen.until(job, lambda job: job.started_at)

    await request(kitchen.store, job, Action.CANCEL, owner=OWNERS[0])

    assert (await kitchen.end(job)).status is Status.CANCELLED


# The feed


async def test_a_partition_is_heard_from_its_first_watcher_to_its_last(
    kitchen: Kitchen, clean_redis: redis.Redis
) -> None:
    jobs = [await started(kitchen, owner) for owner in OWNERS]
    first = kitchen.store.first_channel
    job, owner = next(
        (job, owner)
        for job, owner in zip(jobs, OWNERS, strict=True)
        if kitchen.store.channel_of(job) != first
    )
    channel = kitchen.store.channel_of(job)

    def listeners() -> int:
        [(_, number)] = clean_redis.pubsub_numsub(channel)
        return int(number) - 1  # the test's own listener hears all

    async with Hub(kitchen.store) as hub, place_in(hub) as place:
        assert listeners() == 0
        await place.join({job: 0}, owner=owner)
        assert listeners() == 1
        kitchen.oven.answers = [at(50), DONE]
        ended = False
        while not ended:
            async with asyncio.timeout(8):
                await place.wait()
            ended = any(snapshot.finished for snapshot in place.take()[0])
        async with asyncio.timeout(8):
            while listeners():
                await asyncio.sleep(0.05)


async def test_after_a_loss_of_redis_every_partition_is_shown_again(
    kitchen: Kitchen, clean_redis: redis.Redis
) -> None:
    jobs = {owner: await started(kitchen, owner) for owner in OWNERS[:10]}
    async with Hub(kitchen.store) as hub, place_in(hub) as place:
        for owner, job in jobs.items():
            await place.join({job: 0}, owner=owner)
        clean_redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        kitchen.oven.answers = [DONE]
        ended: set[str] = set()
        while ended != set(jobs.values()):
            async with asyncio.timeout(8):
                await place.wait()
            ended |= {each.job for each in place.take()[0] if each.finished}


# Another number


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 16), (16, 4), (4, 1)])
async def test_jobs_under_way_are_carried_on_when_the_number_changes(
    clean_redis: redis.Redis, redis_url: str, before: int, after: int
) -> None:
    earlier, later = spread(redis_url, before), spread(redis_url, after)
    oven = Oven()
    broker = StubBroker(middleware=[])
    async with working(
        broker, earlier, oven, redis_url, 10, partitions=before
    ) as kitchen:
        jobs = {owner: await started(kitchen, owner) for owner in OWNERS[:12]}
        for job in jobs.values():
            await kitchen.until(job, lambda job: job.started_at)
    oven.answers = [DONE]
    broker = StubBroker(middleware=[])
    async with working(broker, later, oven, redis_url, 10, partitions=after) as kitchen:
        for owner, job in jobs.items():
            assert (await kitchen.end(job)).complete
            newer = await started(kitchen, owner)
            assert await listed(later, owner) == [newer, job]
    await earlier.close()
    await later.close()


# Settings


def test_a_wide_owner_must_have_a_token() -> None:
    environ = {
        "REDIS_URL": "redis://localhost",
        "PROGROCK_API_TOKENS": "cook:0123456789abcdef",
        "PROGROCK_WIDE_OWNERS": " cook ",
        "PROGROCK_PARTITIONS": "16",
    }
    settings = Settings.read(environ)
    assert (settings.partitions, settings.wide_owners) == (16, frozenset([WIDE]))

    with pytest.raises(SettingError, match="PROGROCK_WIDE_OWNERS names 'baker'"):
        Settings.read(environ | {"PROGROCK_WIDE_OWNERS": "cook,baker"})
