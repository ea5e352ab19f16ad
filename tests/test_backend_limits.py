"""A backend is not asked for more than its recipe allows, nor while it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from dramatiq.brokers.stub import StubBroker
from redis import Redis

from actors import Action, BackendError, request
from actors.backends import Handle, Report
from actors.clock import now_ms
from actors.job import Job
from actors.status import Status
from actors.store import Store
from actors.worker.pace import Pace

from .support import jobs
from .support.kitchen import AWAY, DONE, REFUSED, RUNNING, Kitchen, Oven, at, working

BUSY = BackendError("http_429", "Too many requests.", retry_after_s=1.5)
BROKEN = BackendError("http_500", "It broke.")


def places(all_jobs: Sequence[Job]) -> list[int | None]:
    return [job.queue_place for job in all_jobs]


async def submitted(kitchen: Kitchen, count: int) -> list[str]:
    """Submit jobs, no two in the same millisecond; the first begin before the rest."""
    ids = []
    for number in range(count):
        ids.append(await kitchen.submit())
        if number < (kitchen.oven.most_active or 0):
            await kitchen.happens(lambda: ids[-1] in kitchen.oven.started)
        before = now_ms()
        await kitchen.happens(lambda before=before: now_ms() > before)
    return ids


async def seen(kitchen: Kitchen, ids: list[str]) -> list[Job]:
    return [await kitchen.job(job) for job in ids]


async def waiting_at(
    kitchen: Kitchen, ids: list[str], wanted: list[int | None]
) -> None:
    async with asyncio.timeout(10):
        while places(await seen(kitchen, ids)) != wanted:
            await asyncio.sleep(0.005)


async def test_jobs_beyond_the_most_active_wait_in_their_order(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.most_active = 2
    ids = await submitted(kitchen, 5)
    await waiting_at(kitchen, ids, [None, None, 1, 2, 3])

    assert kitchen.oven.started == ids[:2]
    assert {job.status for job in await seen(kitchen, ids[2:])} == {Status.QUEUED}

    for count, job in enumerate(ids, 3):
        kitchen.oven.by_job[job] = [DONE]
        ended = await kitchen.end(job)
        assert (ended.status, ended.queue_place) == (Status.SUCCEEDED, None)
        begun = ids[:count]
        await kitchen.happens(lambda begun=begun: kitchen.oven.started == begun)


async def test_a_job_that_waits_is_cancelled_at_once_and_the_next_moves_up(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.most_active = 1
    ids = await submitted(kitchen, 3)
    await waiting_at(kitchen, ids, [None, 1, 2])

    asked = await request(kitchen.store, ids[1], Action.CANCEL, owner="ann")
    assert (asked.status, asked.queue_place) == (Status.STOPPING, None)
    ended = await kitchen.end(ids[1])

    assert (ended.status, ended.started_at) == (Status.CANCELLED, None)
    await waiting_at(kitchen, ids, [None, None, 1])
    assert kitchen.oven.started == ids[:1]
    assert kitchen.oven.requests == []


async def test_a_start_that_is_refused_gives_its_place_to_the_next(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.most_active = 1
    kitchen.oven.start_errors = [None, REFUSED, None]
    ids = await submitted(kitchen, 3)
    await waiting_at(kitchen, ids, [None, 1, 2])

    kitchen.oven.by_job[ids[0]] = [DONE]

    assert (await kitchen.end(ids[1])).status is Status.FAILED
    assert (await kitchen.until(ids[2], lambda job: job.started_at)).queue_place is None


async def test_a_job_that_was_deleted_keeps_no_place(
    kitchen: Kitchen, clean_redis: Redis
) -> None:
    kitchen.oven.most_active = 1
    ids = await submitted(kitchen, 2)
    await waiting_at(kitchen, ids, [None, 1])

    [key] = clean_redis.keys(f"*:job:{ids[0]}")
    clean_redis.delete(key)

    await kitchen.until(ids[1], lambda job: job.started_at)


async def test_a_place_is_told_soon_to_somebody_who_begins_to_watch(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.most_active = 1
    ids = await submitted(kitchen, 25)
    await waiting_at(kitchen, ids[-1:], [24])
    for job in ids[1:20]:
        await request(kitchen.store, job, Action.CANCEL, owner="ann")
        await kitchen.end(job)

    await kitchen.store.attend(ids[-1:])

    await waiting_at(kitchen, ids[-1:], [5])


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_a_place_that_the_next_job_does_not_take_goes_to_the_one_after_it(
    store: Store, clean_redis: Redis, is_deleted: bool
) -> None:
    first, second, third = [await jobs.add(store, backend="oven") for _ in range(3)]
    for number, job in enumerate((first, second, third)):
        await store.limits.admit(job.job, "oven", created_ms=number, most_active=1)
    lane, key = "progrock:2:due:oven:0", f"progrock:2:job:{second.job}"
    later = now_ms() + 30_000
    clean_redis.zadd(lane, {second.job: later, third.job: later})

    if is_deleted:
        clean_redis.delete(key)
        await jobs.end(store, first)
    else:  # it is being cancelled just then
        clean_redis.hset(key, "lease_until", later)
        await jobs.end(store, first)
        await jobs.end(store, second, Status.CANCELLED)

    assert (clean_redis.zscore(lane, third.job) or later) <= now_ms()


async def test_a_job_that_has_its_place_shows_none_in_the_queue(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.most_active = 1
    ids = await submitted(kitchen, 2)
    await waiting_at(kitchen, ids, [None, 1])
    kitchen.oven.start_errors = [AWAY, None]
    kitchen.oven.by_job[ids[0]] = [DONE]

    missed = await kitchen.until(ids[1], lambda job: not job.reachable)

    assert missed.queue_place is None


async def test_two_workers_together_keep_to_the_most_active(
    store: Store, redis_url: str
) -> None:
    ids = [(await jobs.add(store)).job for _ in range(30)]

    async def admit(number: int, job: str) -> int:
        return await store.limits.admit(job, "oven", created_ms=number, most_active=7)

    await asyncio.gather(*(admit(n, job) for n, job in enumerate(ids)))
    again = [await admit(n, job) for n, job in enumerate(ids)]

    assert again.count(0) == 7
    assert sorted(again)[7:] == list(range(1, 24))


async def test_no_minute_has_more_calls_than_allowed(store: Store) -> None:
    async def take(wanted: int, owed: int = 0, *, is_urgent: bool = False) -> int:
        grant = await store.limits.take(
            "oven", 60, wanted=wanted, owed=owed, is_urgent=is_urgent
        )
        assert (grant.calls == wanted) == (grant.wait_ms == 0)
        return grant.calls

    began = now_ms()
    assert (
        await take(100) == 8
    )  # a fifth of a minute's at once, a third of that is kept
    assert await take(1) == 0
    assert await take(100, is_urgent=True) == 4
    grant = await store.limits.take("oven", 60, wanted=1, owed=5, is_urgent=True)
    if now_ms() - began < 1000:
        assert grant.calls == 0
        assert 6000 < grant.wait_ms <= 7500  # 0.8 calls a second, six are missing


async def test_polls_keep_to_the_calls_of_a_minute_and_none_is_forgotten(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.calls_per_minute = 300  # 60 at once, then 4 a second
    began = time.monotonic()
    ids = await submitted(kitchen, 8)

    await kitchen.happens(lambda: kitchen.oven.calls_made >= 66)

    assert time.monotonic() - began >= (66 - 61) / 4
    asked = [len(kitchen.oven.times(job)) for job in ids]
    assert max(asked) - min(asked) <= 3


async def test_a_call_that_is_not_made_is_given_back_and_pays_for_no_later_one(
    store: Store,
) -> None:
    oven, pace = Oven(), Pace(store.limits)
    oven.calls_per_minute = 60  # 12 at once, then 0.8 a second
    for _ in range(30):
        assert await pace.wait_ms(oven) == 0
        pace.unmade(oven)

    oven.calls_made += 20

    assert await pace.wait_ms(oven) > 8000


async def test_a_start_that_waits_for_its_backend_takes_no_calls_from_the_minute(
    kitchen: Kitchen, clean_redis: Redis
) -> None:
    kitchen.oven.calls_per_minute = 60
    kitchen.oven.idle_interval_ms = 60_000
    await kitchen.store.limits.trip("oven", factor=1, at_least_ms=2500)

    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.started_at)

    assert float(clean_redis.hget("progrock:2:calls:oven", "left") or 0) > 9.5


async def test_a_backend_that_is_away_is_tried_by_one_call_after_pauses_that_grow(
    kitchen: Kitchen,
) -> None:
    ids = await submitted(kitchen, 6)
    for job in ids:
        await kitchen.until(job, lambda job: job.started_at)
    kitchen.oven.answers = [AWAY]
    for job in ids:
        await kitchen.until(job, lambda job: not job.reachable)

    before = len(kitchen.oven.asked)
    await kitchen.happens(lambda: len(kitchen.oven.asked) >= before + 6)

    moments = [moment for _, moment in kitchen.oven.asked[before:]]
    gaps = [after - before for before, after in pairwise(moments)]
    assert min(gaps) > 0.1
    assert gaps[-1] > 0.7
    kitchen.oven.answers = [at(50)]
    began = time.monotonic()
    for job in ids:
        await kitchen.until(job, lambda job: job.reachable)
    assert time.monotonic() - began < 2.5


async def test_an_error_about_one_job_leaves_the_others_alone(kitchen: Kitchen) -> None:
    ids = await submitted(kitchen, 3)
    kitchen.oven.by_job[ids[0]] = [BROKEN]
    await kitchen.until(ids[0], lambda job: not job.reachable)

    for _ in range(5):
        asked = len(kitchen.oven.times(ids[1]))
        await kitchen.happens(lambda n=asked: len(kitchen.oven.times(ids[1])) > n)

    assert (await kitchen.job(ids[1])).reachable
    assert (await kitchen.job(ids[2])).reachable


async def test_a_backend_that_asks_for_patience_is_left_alone_for_so_long(
    kitchen: Kitchen,
) -> None:
    ids = await submitted(kitchen, 4)
    for job in ids:
        await kitchen.until(job, lambda job: job.started_at)
    kitchen.oven.answers = [BUSY]
    for job in ids:
        await kitchen.until(job, lambda job: not job.reachable)
    before = len(kitchen.oven.asked)

    await kitchen.happens(lambda: len(kitchen.oven.asked) >= before + 3)

    moments = [moment for _, moment in kitchen.oven.asked[before:]]
    assert min(after - before for before, after in pairwise(moments)) > 1.4


async def test_a_start_waits_while_its_backend_is_left_alone(kitchen: Kitchen) -> None:
    await kitchen.store.limits.trip("oven", factor=1, at_least_ms=1200)
    began = time.monotonic()

    job = await kitchen.submit()
    waiting = await kitchen.until(job, lambda job: not job.reachable)
    assert (waiting.status, kitchen.oven.started) == (Status.QUEUED, [])
    begun = await kitchen.until(job, lambda job: job.started_at)

    assert time.monotonic() - began > 1.1
    assert begun.reachable
    assert kitchen.oven.started == [job]


async def test_another_failure_does_not_shorten_the_time_that_a_backend_asked_for(
    store: Store,
) -> None:
    await store.limits.trip("oven", factor=1, at_least_ms=30_000)

    pause_ms = await store.limits.trip("oven", factor=1, at_least_ms=0)

    assert pause_ms > 25_000


async def test_a_backend_is_tried_although_the_clock_was_put_back(
    store: Store, clean_redis: Redis
) -> None:
    await store.limits.trip("oven", factor=1, at_least_ms=60_000)
    assert not await store.limits.probe("oven")
    for field in ("at", "asked"):
        clean_redis.hincrby("progrock:2:circuit:oven", field, 3_600_000)

    assert await store.limits.probe("oven")
    assert not await store.limits.probe("oven")
    assert await store.limits.trip("oven", factor=1, at_least_ms=0) <= 1000


async def test_only_one_probe_is_under_way(store: Store) -> None:
    await store.limits.trip("oven", factor=0, at_least_ms=0)

    assert await store.limits.probe("oven")
    assert not await store.limits.probe("oven")
    await store.limits.mend("oven")
    assert await store.limits.probe("oven")


class Tin(Oven):
    """An oven that is asked for ten jobs at once, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 10
        self.idle_interval_ms = 400
        self.sizes: list[int] = []

    async def reports(self, jobs: Sequence[Handle]) -> list[Report | BackendError]:
        self.sizes.append(len(jobs))
        return await super().reports(jobs)


async def test_batches_of_jobs_that_nobody_watches_are_full(
    store: Store, redis_url: str
) -> None:
    tin = Tin()
    broker = StubBroker(middleware=[])
    async with working(broker, store, tin, redis_url, 10) as kitchen:
        for _ in range(30):
            job = await kitchen.submit()
            await kitchen.until(job, lambda job: job.started_at)

        await kitchen.happens(lambda: tin.sizes[-6:] == [10] * 6)

        assert (await kitchen.job(job)).status is RUNNING.status
