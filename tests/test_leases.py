"""A lease holds a job for one worker until it ends, and is renewed meanwhile."""

from __future__ import annotations

import asyncio
import time

import redis
from msgspec.structs import replace

from actors.clock import timestamp
from actors.store import LEASE_MS, Store
from actors.store.values import (
    BackendState,
    Beat,
    Change,
)

from .support.storing import (
    FAR_MS,
    LANE,
    LANE_SIZE,
    back,
    claimed,
    create,
    hearing,
    let_leases_run_out,
    new,
    next_tick,
    planned,
    progress,
    retaken,
    write,
)

# Leases


async def test_a_start_is_for_the_first_who_asks(store: Store) -> None:
    await create(store, "job")

    claims = await asyncio.gather(*(store.lease("job", "start") for _ in range(5)))

    assert [claim.number for claim in claims if claim] == [1]


async def test_a_cancel_steals_a_job_from_its_poll(store: Store) -> None:
    [polled] = await retaken(store, "job")

    stolen = await claimed(store, "job", "request")

    assert stolen.number == polled.number + 1
    assert stolen.backend_state.ref == "7"
    assert await write(store, polled, progress(polled.job, 10)) == -1
    assert await write(store, stolen, progress(stolen.job, 20)) == 1


async def test_a_cancel_may_take_a_job_before_its_start(store: Store) -> None:
    await create(store, "job")

    await claimed(store, "job", "request")

    assert await store.lease("job", "start") is None


async def test_a_cancel_may_not_take_a_job_from_a_start_under_way(
    store: Store,
) -> None:
    await create(store, "job")
    started = await claimed(store, "job")

    assert await store.lease("job", "request") is None
    assert await write(store, started, started.job.started(0).revised()) == 1


async def test_a_cancel_may_take_a_job_whose_start_waits_to_be_tried_again(
    store: Store,
) -> None:
    await create(store, "job")
    failed = await claimed(store, "job")
    state = BackendState(failures=1)
    await write(store, failed, failed.job.missed(), due_ms=FAR_MS, state=state)

    await claimed(store, "job", "request")


async def test_a_job_that_has_ended_is_not_to_be_had(store: Store) -> None:
    [taken] = await retaken(store, "job")
    await write(store, taken, taken.job.cancelled(0).revised())

    assert await store.lease("job", "request") is None
    assert await store.lease("job", "start") is None


async def test_a_lease_that_ran_out_gives_the_job_to_another(
    store: Store, clean_redis: redis.Redis
) -> None:
    [first] = await retaken(store, "job")
    await let_leases_run_out(clean_redis, "job")
    [beat] = await store.ensure() or [Beat(LANE, planned(clean_redis), 0)]

    [second] = (await next_tick(store, beat)).leases

    assert second.number == first.number + 1
    assert await write(store, first, progress(first.job, 10)) == -1
    assert await write(store, second, progress(second.job, 20)) == 1


async def test_a_renewed_lease_holds_longer(
    store: Store, clean_redis: redis.Redis
) -> None:
    [taken] = await retaken(store, "job")
    await let_leases_run_out(clean_redis, "job")

    await store.renew([taken])

    due = clean_redis.zscore(f"progrock:2:due:{LANE}", "job")
    assert due
    assert due - time.time() * 1000 > LEASE_MS / 2


async def test_only_who_has_a_job_renews_its_lease(
    store: Store, clean_redis: redis.Redis
) -> None:
    lost, written, ended = await retaken(store, "lost", "written", "ended")
    await claimed(store, "lost", "request")
    await write(store, written, progress(written.job, 10), due_ms=FAR_MS)
    await write(store, ended, ended.job.cancelled(0).revised())
    before = clean_redis.zrange(f"progrock:2:due:{LANE}", 0, -1, withscores=True)

    await store.renew([lost, written, ended])

    after = clean_redis.zrange(f"progrock:2:due:{LANE}", 0, -1, withscores=True)
    assert after == before


async def test_nothing_to_renew_is_fine(store: Store) -> None:
    await store.renew([])


# Writing back


async def test_what_is_stored_is_what_is_told(store: Store) -> None:
    one, two = await retaken(store, "one", "two")
    changes = [back(one, progress(one.job, 10)), back(two, progress(two.job, 20))]
    await store.attend(["one", "two"])

    async with hearing(store) as heard:
        outcomes, _ = await store.advance(changes)
        told = await heard()

    assert outcomes == [1, 1]
    assert told == await store.snapshots(["one", "two"])
    assert [snapshot.revision for snapshot in told] == [3, 3]
    assert await store.load("one", "ann") == changes[0].job


async def test_a_change_that_is_no_news_is_stored_but_not_told(store: Store) -> None:
    [taken] = await retaken(store, "job")
    observed = replace(taken.job, observed_at=timestamp(5))

    async with hearing(store) as heard:
        assert await write(store, taken, observed) == 1
        told = await heard()

    assert told == []
    assert await store.load("job", "ann") == observed


async def test_a_text_with_odd_characters_is_told_whole(store: Store) -> None:
    [taken] = await retaken(store, "job")
    odd = replace(taken.job, message="line\none 1 2 \u2028 é 🍞 \x00").revised()
    await store.attend(["job"])

    async with hearing(store) as heard:
        await write(store, taken, odd)
        told = await heard()

    assert told == await store.snapshots(["job"])
    assert await store.load("job", "ann") == odd


async def test_an_older_revision_never_wins(store: Store) -> None:
    [taken] = await retaken(store, "job")
    newer = progress(taken.job, 50)
    await store.advance([Change(taken.job, newer)])

    async with hearing(store) as heard:
        assert await write(store, taken, progress(taken.job, 10)) == 0
        told = await heard()

    assert told == []
    assert await store.load("job", "ann") == newer


async def test_a_change_without_a_lease_leaves_the_lease_alone(
    store: Store, clean_redis: redis.Redis
) -> None:
    [taken] = await retaken(store, "job")
    due = clean_redis.zscore(f"progrock:2:due:{LANE}", "job")

    outcomes, beats = await store.advance([Change(taken.job, progress(taken.job, 1))])

    assert (outcomes, beats) == ([1], [])
    assert clean_redis.zscore(f"progrock:2:due:{LANE}", "job") == due
    assert (await store.backend_state("job")).ref == "7"


async def test_an_end_is_written_once_and_ends_the_work(
    store: Store, clean_redis: redis.Redis
) -> None:
    [taken] = await retaken(store, "job")
    ended = taken.job.cancelled(0).revised()
    other = taken.job.failed("gone", "It is gone.", 0).revised()

    async with hearing(store) as heard:
        assert await write(store, taken, ended) == 1
        assert await write(store, taken, ended) == -1
        outcomes, _ = await store.advance([Change(taken.job, other)])
        told = await heard()

    assert outcomes == [-1]
    assert [(snapshot.revision, snapshot.finished) for snapshot in told] == [(3, True)]
    assert await store.load("job", "ann") == ended
    assert clean_redis.zscore(f"progrock:2:due:{LANE}", "job") is None
    assert clean_redis.smembers("progrock:2:active:ann") == set()


async def test_an_ended_job_is_kept_for_a_while(
    store: Store, clean_redis: redis.Redis
) -> None:
    ended, _ = await retaken(store, "ended", "other")
    await write(store, ended, ended.job.cancelled(0).revised())

    assert 0 < clean_redis.ttl("progrock:2:job:ended") <= 60
    assert clean_redis.ttl("progrock:2:job:other") == -1
    assert clean_redis.ttl("progrock:2:owner:ann") == -1


async def test_nothing_is_kept_of_an_owner_whose_jobs_have_all_ended(
    store: Store, clean_redis: redis.Redis
) -> None:
    one, two = await retaken(store, "one", "two")
    for taken in (one, two):
        await write(store, taken, taken.job.cancelled(0).revised())

    forever = [key for key in clean_redis.scan_iter() if is_kept(clean_redis, key)]

    assert [key for key in forever if b"ann" in key or b"job:" in key] == []


def is_kept(clean_redis: redis.Redis, key: bytes) -> bool:
    return clean_redis.ttl(key) == -1


async def test_a_change_of_a_job_that_is_gone_is_lost(store: Store) -> None:
    outcomes, beats = await store.advance([Change(new(), progress(new(), 1))])

    assert (outcomes, beats) == ([-1], [])


async def test_nothing_to_write_is_fine(store: Store) -> None:
    assert await store.advance([]) == ([], [])


async def test_a_whole_lane_is_written_at_once(store: Store) -> None:
    jobs = [f"job-{n}" for n in range(LANE_SIZE)]
    everything = await retaken(store, *jobs)
    await store.attend(jobs)

    async with hearing(store) as heard:
        outcomes, beats = await store.advance(
            [back(taken, progress(taken.job, 10)) for taken in everything]
        )
        told = await heard()

    assert outcomes == [1] * LANE_SIZE
    assert len(beats) == 1
    assert {snapshot.job for snapshot in told} == set(jobs)
