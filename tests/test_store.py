"""The store on a real Redis: whose a job is, when it is due, and how it is told."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis

from actors.broker import PunctualBroker
from actors.clock import now_ms
from actors.status import Status
from actors.store import ATTENTION_MS, LEASE_MS, Store, TooManyJobsError
from actors.store.redis import connect
from actors.store.values import (
    BackendState,
    Change,
)

from .support.storing import (
    FAR_MS,
    LANE,
    LANE_SIZE,
    PUT_BACK_MS,
    back,
    claimed,
    create,
    give_back,
    hearing,
    new,
    next_tick,
    retaken,
    running,
    tick,
    write,
)

# Creating


async def test_a_new_job_is_there_with_its_owner(store: Store) -> None:
    job = new(params={"width": 1600})

    await create(store, job)

    assert await store.load("job", "ann") == await store.load("job") == job
    assert await store.load("job", "bob") is None
    assert (await store.backend_state("job")).ref is None
    [snapshot, nothing] = await store.snapshots(["job", "nothing"])
    assert snapshot
    assert (snapshot.job, snapshot.revision, snapshot.finished) == ("job", 1, False)
    assert nothing is None


async def test_a_job_that_nobody_made_is_not_there(store: Store) -> None:
    assert await store.load("nothing") is None
    assert await store.backend_state("nothing") == BackendState()
    assert await store.lease("nothing", "start") is None
    assert await store.snapshots([]) == []


async def test_creating_twice_changes_nothing(store: Store) -> None:
    """As happens where Redis did it but its answer was lost."""
    await create(store, new(), max_active=1)

    await store.create(
        new(message="other"), owner="bob", max_active=1, lane_size=LANE_SIZE
    )

    assert await store.load("job", "ann") == new()


async def test_an_owner_has_so_many_active_jobs_and_no_more(store: Store) -> None:
    await create(store, "one", max_active=2)
    await create(store, "two", max_active=2)

    with pytest.raises(TooManyJobsError):
        await store.create(new("three"), owner="ann", max_active=2, lane_size=LANE_SIZE)
    await create(store, "four", owner="bob", max_active=2)

    assert await store.load("three") is None


async def test_a_job_that_ended_makes_room_for_another(store: Store) -> None:
    await create(store, "one", max_active=1)
    taken = await store.lease("one", "start")
    assert taken

    await write(store, taken, taken.job.cancelled(0).revised())

    await create(store, "two", max_active=1)


async def test_a_full_lane_is_followed_by_another(
    store: Store, clean_redis: redis.Redis
) -> None:
    await create(store, *(f"job-{n}" for n in range(LANE_SIZE + 1)))

    assert clean_redis.zcard("progrock:2:due:render:0") == LANE_SIZE
    assert clean_redis.zcard("progrock:2:due:render:1") == 1
    assert {beat.lane for beat in await store.ensure()} == {"render:0", "render:1"}


async def test_a_lane_with_room_again_is_filled_first(
    store: Store, clean_redis: redis.Redis
) -> None:
    await create(store, *(f"job-{n}" for n in range(LANE_SIZE + 1)))
    taken = await store.lease("job-7", "start")
    assert taken
    await write(store, taken, taken.job.cancelled(0).revised())

    await create(store, "late")

    assert clean_redis.zcard("progrock:2:due:render:0") == LANE_SIZE
    assert clean_redis.zscore("progrock:2:due:render:0", "late")


# Beats


async def test_a_beat_takes_what_is_due(store: Store) -> None:
    beat = await running(store, "due")
    await running(store, "later", due_ms=FAR_MS)

    taken = await next_tick(store, beat)

    [one] = taken.leases
    assert (one.job_id, one.job.status, one.backend_state.ref) == (
        "due",
        Status.RUNNING,
        "7",
    )
    assert (one.lane, one.watched) == (LANE, False)
    assert abs(one.at_ms - time.time() * 1000) < 1000


async def test_a_beat_takes_what_is_due_before_the_next(store: Store) -> None:
    soon_ms = now_ms() + 150
    beat = await running(store, "now")
    await running(store, "soon", due_ms=soon_ms)
    await store.attend(["now"])

    taken = await next_tick(store, beat)

    assert [one.job_id for one in taken.leases] == ["now", "soon"]
    assert taken.leases[1].at_ms == soon_ms
    assert taken.leases[0].at_ms <= taken.redis_now_ms < soon_ms


def put_clock_back(client: redis.Redis, *jobs: str) -> None:
    """Make all times in Redis as much too high as if its clock had been put back."""
    for job in jobs:
        client.zincrby(f"progrock:2:due:{LANE}", PUT_BACK_MS, job)
    client.hincrby(f"progrock:2:beat:{LANE}", "at", PUT_BACK_MS)
    left_ms = client.pttl(f"progrock:2:beat:{LANE}")
    client.pexpire(f"progrock:2:beat:{LANE}", left_ms + PUT_BACK_MS)


async def test_a_clock_that_is_put_back_stops_no_chain(
    store: Store, clean_redis: redis.Redis
) -> None:
    beat = await running(store, "job", due_ms=now_ms())
    put_clock_back(clean_redis, "job")

    taken = await tick(store, beat.number)

    assert taken
    assert [one.at_ms for one in taken.leases] == [taken.redis_now_ms]
    assert taken.next_beat.delay_ms <= 2000


async def test_a_chain_lost_while_the_clock_is_put_back_is_started_again(
    store: Store, clean_redis: redis.Redis
) -> None:
    await running(store, "job", due_ms=now_ms())
    put_clock_back(clean_redis, "job")

    [beat] = await store.ensure()

    assert (await next_tick(store, beat)).leases
    assert await store.ensure() == []


async def test_a_beat_hands_out_each_job_once(store: Store) -> None:
    first = await next_tick(store, await running(store, "one", "two"))

    second = await tick(store, first.next_beat.number)

    assert {taken.job_id for taken in first.leases} == {"one", "two"}
    assert second
    assert second.leases == []


async def test_only_one_of_many_duplicates_of_a_beat_is_good(store: Store) -> None:
    beat = await running(store, "job")

    answers = await asyncio.gather(*(tick(store, beat.number) for _ in range(5)))

    [good] = [answer for answer in answers if answer]
    assert good.next_beat.number == beat.number + 1


@pytest.mark.parametrize("wrong", [-1, 1, 10**6])
async def test_a_beat_that_is_not_the_planned_one_is_stale(
    store: Store, wrong: int
) -> None:
    beat = await running(store, "job")

    assert await tick(store, beat.number + wrong) is None
    assert await tick(store, beat.number)


async def test_a_lane_that_was_never_used_has_no_beat(store: Store) -> None:
    assert await tick(store, 1) is None
    assert await store.ensure() == []


async def test_the_chain_of_an_empty_lane_ends(
    store: Store, clean_redis: redis.Redis
) -> None:
    last = await next_tick(store, await running(store, "job"))
    [taken] = last.leases
    await write(store, taken, taken.job.cancelled(0).revised())

    assert await tick(store, last.next_beat.number) is None

    assert not clean_redis.exists(f"progrock:2:beat:{LANE}", "progrock:2:lanes")
    assert await store.ensure() == []


async def test_a_late_beat_does_not_move_the_grid(store: Store) -> None:
    beat = await running(store, "job", due_ms=now_ms())
    await store.attend(["job"])
    first = await next_tick(store, beat, interval_ms=200)
    await give_back(store, first, 200)

    await asyncio.sleep((first.next_beat.delay_ms + 70) / 1000)
    second = await tick(store, first.next_beat.number, interval_ms=200)

    assert second
    assert second.leases[0].at_ms == first.leases[0].at_ms + 200
    assert second.next_beat.delay_ms <= 130


async def test_beats_that_were_missed_are_skipped(store: Store) -> None:
    beat = await running(store, "job", due_ms=now_ms())
    await store.attend(["job"])
    first = await next_tick(store, beat, interval_ms=50)
    await give_back(store, first, 50)

    await asyncio.sleep(0.23)
    second = await tick(store, first.next_beat.number, interval_ms=50)

    assert second
    late_ms = second.leases[0].at_ms - first.leases[0].at_ms
    assert late_ms % 50 == 0
    assert late_ms >= 200
    assert second.next_beat.delay_ms <= 50


async def test_a_lane_that_nobody_watches_goes_at_the_idle_pace(store: Store) -> None:
    first = await next_tick(store, await running(store, "job"))

    assert 1800 <= first.next_beat.delay_ms <= 2000


async def test_a_lane_with_a_watched_job_goes_at_the_fast_pace(store: Store) -> None:
    beat = await running(store, "watched", "other")
    await store.attend(["watched"])

    first = await next_tick(store, beat)

    assert 0 < first.next_beat.delay_ms <= 200
    assert {taken.job_id: taken.watched for taken in first.leases} == {
        "watched": True,
        "other": False,
    }


async def test_a_lease_that_runs_out_before_the_idle_pace_is_noticed(
    store: Store,
) -> None:
    await create(store, "lost")
    await claimed(store, "lost")

    first = await next_tick(store, await running(store, "job"))

    assert [taken.job_id for taken in first.leases] == ["job"]
    assert 0 < first.next_beat.delay_ms <= LEASE_MS


async def test_a_job_whose_key_is_gone_is_forgotten(
    store: Store, clean_redis: redis.Redis
) -> None:
    beat = await running(store, "job")
    clean_redis.delete("progrock:2:job:job")

    taken = await next_tick(store, beat)

    assert taken.leases == []
    assert await tick(store, taken.next_beat.number) is None


# Attention


async def test_attention_brings_the_next_poll_forward(store: Store) -> None:
    first = await next_tick(store, await running(store, "job"))
    [taken] = first.leases
    await store.advance([back(taken, taken.job, FAR_MS)])

    [beat] = (await store.attend(["job"])).beats

    assert beat.delay_ms == 0
    assert await tick(store, first.next_beat.number) is None
    again = await tick(store, beat.number)
    assert again
    assert [taken.job_id for taken in again.leases] == ["job"]
    assert again.leases[0].watched


async def test_attention_that_goes_on_changes_no_pace(store: Store) -> None:
    await running(store, "job", due_ms=FAR_MS)
    await store.attend(["job"])

    assert (await store.attend(["job"])).beats == []


async def test_attention_leaves_alone_what_has_ended_or_is_in_hand(
    store: Store,
) -> None:
    [taken, _] = await retaken(store, "ended", "in hand")
    await write(store, taken, taken.job.cancelled(0).revised())
    await create(store, "not started")

    assert (
        await store.attend(["ended", "in hand", "not started", "nothing"])
    ).beats == []


async def test_what_is_watched_is_due_sooner(store: Store) -> None:
    watched, other = await retaken(store, "watched", "other")
    await store.attend(["watched"])
    now = other.at_ms

    _, [beat] = await store.advance(
        [
            Change(one.job, one.job, None, one.number, now + 300, now + 1500)
            for one in (watched, other)
        ]
    )

    assert 100 <= beat.delay_ms <= 300
    taken = await next_tick(store, beat)
    assert [one.job_id for one in taken.leases] == ["watched"]


async def test_attention_ends(store: Store, clean_redis: redis.Redis) -> None:
    await running(store, "job", due_ms=FAR_MS)
    await store.attend(["job"])

    until = int(clean_redis.hget("progrock:2:job:job", "watched_until") or 0)

    assert 0 < until - time.time() * 1000 <= ATTENTION_MS + 100


# Chains that were lost


async def test_a_lost_chain_is_started_again(
    store: Store, clean_redis: redis.Redis
) -> None:
    lost = await running(store, "job")
    await asyncio.sleep(0.002)
    clean_redis.delete(f"progrock:2:beat:{LANE}")  # as time would

    [beat] = await store.ensure()

    assert beat.number > lost.number
    assert await store.ensure() == []
    assert (await next_tick(store, beat)).leases


async def test_a_chain_whose_message_does_not_come_counts_as_lost(
    store: Store, clean_redis: redis.Redis
) -> None:
    await running(store, "job")

    assert 0 < clean_redis.pttl(f"progrock:2:beat:{LANE}") < 1000


async def test_a_new_job_that_nobody_starts_is_found_by_the_watchdog(
    store: Store,
) -> None:
    await create(store, "job")

    [beat] = await store.ensure()

    assert 0 < beat.delay_ms <= LEASE_MS


# Reading an owner's jobs


async def ids(store: Store, **query: Any) -> tuple[list[str], str | None]:
    given = {"status": None, "limit": 2, "cursor": None} | query
    page = await store.owned.page("ann", **given)
    return [snapshot.job for snapshot in page.snapshots], page.cursor


async def test_an_owners_jobs_are_read_page_by_page_newest_first(
    store: Store,
) -> None:
    for n in range(5):
        await create(store, f"job-{n}")
        await asyncio.sleep(0.002)
    await create(store, "other", owner="bob")

    assert await ids(store) == (["job-4", "job-3"], "job-3")
    assert await ids(store, cursor="job-3") == (["job-2", "job-1"], "job-1")
    assert await ids(store, cursor="job-1") == (["job-0"], None)
    assert await ids(store, cursor="job-0") == ([], None)
    assert await ids(store, limit=5) == ([f"job-{n}" for n in range(4, -1, -1)], None)


async def test_jobs_may_be_chosen_by_status(
    store: Store, clean_redis: redis.Redis
) -> None:
    jobs = [f"job-{n}" for n in range(6)]
    everything = await retaken(store, *jobs)
    for taken in everything[::2]:
        await write(store, taken, taken.job.cancelled(0).revised())

    chosen, cursor = await ids(store, status=Status.CANCELLED)
    rest, end = await ids(store, status=Status.CANCELLED, cursor=cursor)

    assert {*chosen, *rest} == set(jobs[::2])
    assert (len(chosen), end) == (2, None)
    assert await ids(store, status=Status.PAUSED) == ([], None)


async def test_a_job_that_has_expired_is_left_out(
    store: Store, clean_redis: redis.Redis
) -> None:
    await create(store, "one", "two", "three")
    clean_redis.delete("progrock:2:job:two")

    found, cursor = await ids(store)

    assert set(found) == {"one", "three"}
    assert cursor is None


async def test_a_cursor_that_names_no_job_is_refused(store: Store) -> None:
    await create(store, "job")

    with pytest.raises(KeyError):
        await ids(store, cursor="nothing")


async def test_a_redis_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    nowhere = Store(
        connect(f"unix://{tmp_path}/nobody.sock"), job_ttl_s=60, poll_interval_ms=200
    )

    with pytest.raises(redis.ConnectionError):
        await nowhere.load("job")
    await nowhere.close()


# Several in one Redis


async def test_two_prefixes_share_nothing(
    clean_redis: redis.Redis, redis_url: str
) -> None:
    blue, green = (
        Store(
            connect(redis_url),
            job_ttl_s=60,
            poll_interval_ms=200,
            key_prefix=f"progrock:{colour}",
        )
        for colour in ("blue", "green")
    )
    async with hearing(green) as heard:
        await create(blue, "job")
        lease = await claimed(blue, "job")
        await write(blue, lease, lease.job.started(0).revised())

        assert await heard() == []
    assert await green.load("job") is None
    assert await green.ensure() == []
    assert await blue.load("job")
    keys = clean_redis.keys("*")
    assert keys
    assert all(key.startswith((b"progrock:blue:", b"progrock:green:")) for key in keys)
    await blue.close()
    await green.close()


def test_a_broker_keeps_its_messages_below_the_prefix(
    clean_redis: redis.Redis, redis_url: str
) -> None:
    broker = PunctualBroker()
    broker.connect(redis_url, "progrock:blue")
    bake = dramatiq.actor(lambda: None, broker=broker, actor_name="bake")

    bake.send_with_options(delay=1000)

    keys = clean_redis.keys("*")
    assert keys
    assert all(key.startswith(b"progrock:blue:") for key in keys)
    broker.close()
    broker.client.close()
