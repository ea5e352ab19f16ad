"""The store on a real Redis: who has a job, when it is due, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
import redis
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from actors.job import Job, Status, timestamp
from actors.store import ATTENTION_MS, LEASE_MS, PREFIX, Store, TooManyJobsError, now_ms
from actors.store.redis import connect
from actors.store.values import Beat, Change, Contact, Snapshot, Taken, Tick, announced

LANE = "render:0"
LANE_SIZE = 200
NOON = timestamp(1_767_268_800_000)
FAR_MS = 2**42  # a due time that no test lives to see
PUT_BACK_MS = 3_600_000  # by how much a clock may be put back


def new(job: str = "job", **fields: Any) -> Job:
    return Job(job=job, backend="render", created_at=NOON, changed_at=NOON, **fields)


async def create(
    store: Store, *jobs: str | Job, owner: str = "ann", most_active: int = 0
) -> None:
    for job in jobs:
        job = job if isinstance(job, Job) else new(job)
        await store.create(
            job, owner=owner, most_active=most_active, lane_size=LANE_SIZE
        )


async def running(store: Store, *jobs: str, due_ms: int = 0) -> Beat:
    """Jobs that their backend has taken on; gives their lane's first beat."""
    await create(store, *jobs)
    changes = []
    for job in jobs:
        taken = await claimed(store, job)
        started = taken.job.started(0).revised()
        changes.append(back(taken, started, due_ms, contact=Contact(ref="7")))
    outcomes, beats = await store.advance(changes)
    assert outcomes == [1] * len(jobs)
    return beats[0] if beats else Beat(LANE, 0, 0)


async def claimed(
    store: Store, job: str, purpose: Literal["start", "cancel"] = "start"
) -> Taken:
    taken = await store.claim(job, purpose)
    assert taken
    return taken


def back(
    taken: Taken, job: Job, due_ms: int | None = 0, contact: Contact | None = None
) -> Change:
    return Change(taken.job, job, contact, taken.take, due_ms, due_ms)


async def write(store: Store, taken: Taken, job: Job, **more: Any) -> int:
    [outcome], _ = await store.advance([back(taken, job, **more)])
    return outcome


async def give_back(store: Store, tick: Tick, pause_ms: int = 0) -> None:
    """Write jobs back as they were, to be polled so long after their moment."""
    await store.advance(
        [back(taken, taken.job, taken.at_ms + pause_ms) for taken in tick.jobs]
    )


async def tick(store: Store, beat: int, interval_ms: int = 200) -> Tick | None:
    return await store.tick(LANE, beat, interval_ms=interval_ms, idle_interval_ms=2000)


async def next_tick(store: Store, beat: Beat, interval_ms: int = 200) -> Tick:
    """Wait for a beat to be due, and take what is."""
    await asyncio.sleep(beat.delay_ms / 1000)
    taken = await tick(store, beat.beat, interval_ms)
    assert taken
    return taken


async def retaken(store: Store, *jobs: str) -> list[Taken]:
    """Running jobs as a poll takes them."""
    taken = await next_tick(store, await running(store, *jobs))
    assert {one.id for one in taken.jobs} == set(jobs)
    return sorted(taken.jobs, key=lambda one: jobs.index(one.id))


def progress(job: Job, percentage: float) -> Job:
    return replace(job, progress=percentage).revised()


@asynccontextmanager
async def hearing(
    store: Store,
) -> AsyncIterator[Callable[[], Awaitable[list[Snapshot]]]]:
    """Inside, what the feed tells; calling gives all snapshots that came."""
    async with store.listen() as pubsub:
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"

        async def heard() -> list[Snapshot]:
            snapshots: list[Snapshot] = []
            while message := await pubsub.get_message(timeout=0.05):
                snapshots += announced(message["data"])
            return snapshots

        yield heard


# Creating


async def test_a_new_job_is_there_with_its_owner(store: Store) -> None:
    job = new(params={"width": 1600})

    await create(store, job)

    assert await store.load("job") == (job, "ann")
    assert await store.owners(["job", "nothing"]) == ["ann", None]
    assert (await store.contact("job")).ref is None
    [snapshot, nothing] = await store.snapshots(["job", "nothing"])
    assert snapshot
    assert (snapshot.job, snapshot.revision, snapshot.finished) == ("job", 1, False)
    assert nothing is None


async def test_a_job_that_nobody_made_is_not_there(store: Store) -> None:
    assert await store.load("nothing") is None
    assert await store.contact("nothing") == Contact()
    assert await store.claim("nothing", "start") is None
    assert await store.snapshots([]) == []
    assert await store.owners([]) == []


async def test_creating_twice_changes_nothing(store: Store) -> None:
    """As happens where Redis did it but its answer was lost."""
    await create(store, new(), most_active=1)

    await store.create(
        new(message="other"), owner="bob", most_active=1, lane_size=LANE_SIZE
    )

    assert await store.load("job") == (new(), "ann")


async def test_an_owner_has_so_many_active_jobs_and_no_more(store: Store) -> None:
    await create(store, "one", most_active=2)
    await create(store, "two", most_active=2)

    with pytest.raises(TooManyJobsError):
        await store.create(
            new("three"), owner="ann", most_active=2, lane_size=LANE_SIZE
        )
    await create(store, "four", owner="bob", most_active=2)

    assert await store.load("three") is None


async def test_a_job_that_ended_makes_room_for_another(store: Store) -> None:
    await create(store, "one", most_active=1)
    taken = await store.claim("one", "start")
    assert taken

    await write(store, taken, taken.job.cancelled(0).revised())

    await create(store, "two", most_active=1)


async def test_a_full_lane_is_followed_by_another(
    store: Store, clean_redis: redis.Redis
) -> None:
    await create(store, *(f"job-{n}" for n in range(LANE_SIZE + 1)))

    assert clean_redis.zcard(f"{PREFIX}due:render:0") == LANE_SIZE
    assert clean_redis.zcard(f"{PREFIX}due:render:1") == 1
    assert {beat.lane for beat in await store.ensure()} == {"render:0", "render:1"}


async def test_a_lane_with_room_again_is_filled_first(
    store: Store, clean_redis: redis.Redis
) -> None:
    await create(store, *(f"job-{n}" for n in range(LANE_SIZE + 1)))
    taken = await store.claim("job-7", "start")
    assert taken
    await write(store, taken, taken.job.cancelled(0).revised())

    await create(store, "late")

    assert clean_redis.zcard(f"{PREFIX}due:render:0") == LANE_SIZE
    assert clean_redis.zscore(f"{PREFIX}due:render:0", "late")


# Beats


async def test_a_beat_takes_what_is_due(store: Store) -> None:
    beat = await running(store, "due")
    await running(store, "later", due_ms=FAR_MS)

    taken = await next_tick(store, beat)

    [one] = taken.jobs
    assert (one.id, one.job.status, one.contact.ref) == ("due", Status.RUNNING, "7")
    assert (one.lane, one.watched) == (LANE, False)
    assert abs(one.at_ms - time.time() * 1000) < 1000


async def test_a_beat_takes_what_is_due_before_the_next(store: Store) -> None:
    soon_ms = now_ms() + 150
    beat = await running(store, "now")
    await running(store, "soon", due_ms=soon_ms)
    await store.attend(["now"])

    taken = await next_tick(store, beat)

    assert [one.id for one in taken.jobs] == ["now", "soon"]
    assert taken.jobs[1].at_ms == soon_ms
    assert taken.jobs[0].at_ms <= taken.now_ms < soon_ms


def put_clock_back(client: redis.Redis, *jobs: str) -> None:
    """Make all times in Redis as much too high as if its clock had been put back."""
    for job in jobs:
        client.zincrby(f"{PREFIX}due:{LANE}", PUT_BACK_MS, job)
    client.hincrby(f"{PREFIX}beat:{LANE}", "at", PUT_BACK_MS)
    left_ms = client.pttl(f"{PREFIX}beat:{LANE}")
    client.pexpire(f"{PREFIX}beat:{LANE}", left_ms + PUT_BACK_MS)


async def test_a_clock_that_is_put_back_stops_no_chain(
    store: Store, clean_redis: redis.Redis
) -> None:
    beat = await running(store, "job", due_ms=now_ms())
    put_clock_back(clean_redis, "job")

    taken = await tick(store, beat.beat)

    assert taken
    assert [one.at_ms for one in taken.jobs] == [taken.now_ms]
    assert taken.next.delay_ms <= 2000


async def test_a_chain_lost_while_the_clock_is_put_back_is_started_again(
    store: Store, clean_redis: redis.Redis
) -> None:
    await running(store, "job", due_ms=now_ms())
    put_clock_back(clean_redis, "job")

    [beat] = await store.ensure()

    assert (await next_tick(store, beat)).jobs
    assert await store.ensure() == []


async def test_a_beat_hands_out_each_job_once(store: Store) -> None:
    first = await next_tick(store, await running(store, "one", "two"))

    second = await tick(store, first.next.beat)

    assert {taken.id for taken in first.jobs} == {"one", "two"}
    assert second
    assert second.jobs == []


async def test_only_one_of_many_duplicates_of_a_beat_is_good(store: Store) -> None:
    beat = await running(store, "job")

    answers = await asyncio.gather(*(tick(store, beat.beat) for _ in range(5)))

    [good] = [answer for answer in answers if answer]
    assert good.next.beat == beat.beat + 1


@pytest.mark.parametrize("wrong", [-1, 1, 10**6])
async def test_a_beat_that_is_not_the_planned_one_is_stale(
    store: Store, wrong: int
) -> None:
    beat = await running(store, "job")

    assert await tick(store, beat.beat + wrong) is None
    assert await tick(store, beat.beat)


async def test_a_lane_that_was_never_used_has_no_beat(store: Store) -> None:
    assert await tick(store, 1) is None
    assert await store.ensure() == []


async def test_the_chain_of_an_empty_lane_ends(
    store: Store, clean_redis: redis.Redis
) -> None:
    last = await next_tick(store, await running(store, "job"))
    [taken] = last.jobs
    await write(store, taken, taken.job.cancelled(0).revised())

    assert await tick(store, last.next.beat) is None

    assert not clean_redis.exists(f"{PREFIX}beat:{LANE}", f"{PREFIX}lanes")
    assert await store.ensure() == []


async def test_a_late_beat_does_not_move_the_grid(store: Store) -> None:
    beat = await running(store, "job", due_ms=now_ms())
    await store.attend(["job"])
    first = await next_tick(store, beat, interval_ms=200)
    await give_back(store, first, 200)

    await asyncio.sleep((first.next.delay_ms + 70) / 1000)
    second = await tick(store, first.next.beat, interval_ms=200)

    assert second
    assert second.jobs[0].at_ms == first.jobs[0].at_ms + 200
    assert second.next.delay_ms <= 130


async def test_beats_that_were_missed_are_skipped(store: Store) -> None:
    beat = await running(store, "job", due_ms=now_ms())
    await store.attend(["job"])
    first = await next_tick(store, beat, interval_ms=50)
    await give_back(store, first, 50)

    await asyncio.sleep(0.23)
    second = await tick(store, first.next.beat, interval_ms=50)

    assert second
    late_ms = second.jobs[0].at_ms - first.jobs[0].at_ms
    assert late_ms % 50 == 0
    assert late_ms >= 200
    assert second.next.delay_ms <= 50


async def test_a_lane_that_nobody_watches_goes_at_the_idle_pace(store: Store) -> None:
    first = await next_tick(store, await running(store, "job"))

    assert 1800 <= first.next.delay_ms <= 2000


async def test_a_lane_with_a_watched_job_goes_at_the_fast_pace(store: Store) -> None:
    beat = await running(store, "watched", "other")
    await store.attend(["watched"])

    first = await next_tick(store, beat)

    assert 0 < first.next.delay_ms <= 200
    assert {taken.id: taken.watched for taken in first.jobs} == {
        "watched": True,
        "other": False,
    }


async def test_a_lease_that_runs_out_before_the_idle_pace_is_noticed(
    store: Store,
) -> None:
    await create(store, "lost")
    await claimed(store, "lost")

    first = await next_tick(store, await running(store, "job"))

    assert [taken.id for taken in first.jobs] == ["job"]
    assert 0 < first.next.delay_ms <= LEASE_MS


async def test_a_job_whose_key_is_gone_is_forgotten(
    store: Store, clean_redis: redis.Redis
) -> None:
    beat = await running(store, "job")
    clean_redis.delete(f"{PREFIX}job:job")

    taken = await next_tick(store, beat)

    assert taken.jobs == []
    assert await tick(store, taken.next.beat) is None


# Attention


async def test_attention_brings_the_next_poll_forward(store: Store) -> None:
    first = await next_tick(store, await running(store, "job"))
    [taken] = first.jobs
    await store.advance([back(taken, taken.job, FAR_MS)])

    [beat] = await store.attend(["job"])

    assert beat.delay_ms == 0
    assert await tick(store, first.next.beat) is None
    again = await tick(store, beat.beat)
    assert again
    assert [taken.id for taken in again.jobs] == ["job"]
    assert again.jobs[0].watched


async def test_attention_that_goes_on_changes_no_pace(store: Store) -> None:
    await running(store, "job", due_ms=FAR_MS)
    await store.attend(["job"])

    assert await store.attend(["job"]) == []


async def test_attention_leaves_alone_what_has_ended_or_is_in_hand(
    store: Store,
) -> None:
    [taken, _] = await retaken(store, "ended", "in hand")
    await write(store, taken, taken.job.cancelled(0).revised())
    await create(store, "not started")

    assert await store.attend(["ended", "in hand", "not started", "nothing"]) == []


async def test_what_is_watched_is_due_sooner(store: Store) -> None:
    watched, other = await retaken(store, "watched", "other")
    await store.attend(["watched"])
    now = other.at_ms

    _, [beat] = await store.advance(
        [
            Change(one.job, one.job, None, one.take, now + 300, now + 1500)
            for one in (watched, other)
        ]
    )

    assert 100 <= beat.delay_ms <= 300
    taken = await next_tick(store, beat)
    assert [one.id for one in taken.jobs] == ["watched"]


async def test_attention_ends(store: Store, clean_redis: redis.Redis) -> None:
    await running(store, "job", due_ms=FAR_MS)
    await store.attend(["job"])

    until = int(clean_redis.hget(f"{PREFIX}job:job", "watched_until") or 0)

    assert 0 < until - time.time() * 1000 <= ATTENTION_MS + 100


# Claims and leases


async def test_a_start_is_for_the_first_who_asks(store: Store) -> None:
    await create(store, "job")

    claims = await asyncio.gather(*(store.claim("job", "start") for _ in range(5)))

    assert [claim.take for claim in claims if claim] == [1]


async def test_a_cancel_steals_a_job_from_its_poll(store: Store) -> None:
    [polled] = await retaken(store, "job")

    stolen = await claimed(store, "job", "cancel")

    assert stolen.take == polled.take + 1
    assert stolen.contact.ref == "7"
    assert await write(store, polled, progress(polled.job, 10)) == -1
    assert await write(store, stolen, progress(stolen.job, 20)) == 1


async def test_a_cancel_may_take_a_job_before_its_start(store: Store) -> None:
    await create(store, "job")

    await claimed(store, "job", "cancel")

    assert await store.claim("job", "start") is None


async def test_a_cancel_may_not_take_a_job_from_a_start_under_way(
    store: Store,
) -> None:
    await create(store, "job")
    started = await claimed(store, "job")

    assert await store.claim("job", "cancel") is None
    assert await write(store, started, started.job.started(0).revised()) == 1


async def test_a_cancel_may_take_a_job_whose_start_waits_to_be_tried_again(
    store: Store,
) -> None:
    await create(store, "job")
    failed = await claimed(store, "job")
    contact = Contact(failures=1)
    await write(store, failed, failed.job.missed(), due_ms=FAR_MS, contact=contact)

    await claimed(store, "job", "cancel")


async def test_a_job_that_has_ended_is_not_to_be_had(store: Store) -> None:
    [taken] = await retaken(store, "job")
    await write(store, taken, taken.job.cancelled(0).revised())

    assert await store.claim("job", "cancel") is None
    assert await store.claim("job", "start") is None


async def test_a_lease_that_ran_out_gives_the_job_to_another(
    store: Store, clean_redis: redis.Redis
) -> None:
    [first] = await retaken(store, "job")
    await let_leases_run_out(clean_redis, "job")
    [beat] = await store.ensure() or [Beat(LANE, planned(clean_redis), 0)]

    [second] = (await next_tick(store, beat)).jobs

    assert second.take == first.take + 1
    assert await write(store, first, progress(first.job, 10)) == -1
    assert await write(store, second, progress(second.job, 20)) == 1


async def test_a_renewed_lease_holds_longer(
    store: Store, clean_redis: redis.Redis
) -> None:
    [taken] = await retaken(store, "job")
    await let_leases_run_out(clean_redis, "job")

    await store.renew([taken])

    due = clean_redis.zscore(f"{PREFIX}due:{LANE}", "job")
    assert due
    assert due - time.time() * 1000 > LEASE_MS / 2


async def test_only_who_has_a_job_renews_its_lease(
    store: Store, clean_redis: redis.Redis
) -> None:
    lost, written, ended = await retaken(store, "lost", "written", "ended")
    await claimed(store, "lost", "cancel")
    await write(store, written, progress(written.job, 10), due_ms=FAR_MS)
    await write(store, ended, ended.job.cancelled(0).revised())
    before = clean_redis.zrange(f"{PREFIX}due:{LANE}", 0, -1, withscores=True)

    await store.renew([lost, written, ended])

    after = clean_redis.zrange(f"{PREFIX}due:{LANE}", 0, -1, withscores=True)
    assert after == before


async def test_nothing_to_renew_is_fine(store: Store) -> None:
    await store.renew([])


async def let_leases_run_out(clean_redis: redis.Redis, *jobs: str) -> None:
    """As if so much time had passed."""
    for job in jobs:
        clean_redis.hset(f"{PREFIX}job:{job}", "held_until", 1)
        clean_redis.zadd(f"{PREFIX}due:{LANE}", {job: 1})


def planned(clean_redis: redis.Redis) -> int:
    """The beat that the lane waits for."""
    return int(clean_redis.hget(f"{PREFIX}beat:{LANE}", "beat") or 0)


# Writing back


async def test_what_is_stored_is_what_is_told(store: Store) -> None:
    one, two = await retaken(store, "one", "two")
    changes = [back(one, progress(one.job, 10)), back(two, progress(two.job, 20))]

    async with hearing(store) as heard:
        outcomes, _ = await store.advance(changes)
        told = await heard()

    assert outcomes == [1, 1]
    assert told == await store.snapshots(["one", "two"])
    assert [snapshot.revision for snapshot in told] == [3, 3]
    assert await store.load("one") == (changes[0].job, "ann")


async def test_a_change_that_is_no_news_is_stored_but_not_told(store: Store) -> None:
    [taken] = await retaken(store, "job")
    observed = replace(taken.job, observed_at=timestamp(5))

    async with hearing(store) as heard:
        assert await write(store, taken, observed) == 1
        told = await heard()

    assert told == []
    assert await store.load("job") == (observed, "ann")


async def test_a_text_with_odd_characters_is_told_whole(store: Store) -> None:
    [taken] = await retaken(store, "job")
    odd = replace(taken.job, message="line\none 1 2 \u2028 é 🍞 \x00").revised()

    async with hearing(store) as heard:
        await write(store, taken, odd)
        told = await heard()

    assert told == await store.snapshots(["job"])
    assert await store.load("job") == (odd, "ann")


async def test_an_older_revision_never_wins(store: Store) -> None:
    [taken] = await retaken(store, "job")
    newer = progress(taken.job, 50)
    await store.advance([Change(taken.job, newer)])

    async with hearing(store) as heard:
        assert await write(store, taken, progress(taken.job, 10)) == 0
        told = await heard()

    assert told == []
    assert await store.load("job") == (newer, "ann")


async def test_a_change_without_a_lease_leaves_the_lease_alone(
    store: Store, clean_redis: redis.Redis
) -> None:
    [taken] = await retaken(store, "job")
    due = clean_redis.zscore(f"{PREFIX}due:{LANE}", "job")

    outcomes, beats = await store.advance([Change(taken.job, progress(taken.job, 1))])

    assert (outcomes, beats) == ([1], [])
    assert clean_redis.zscore(f"{PREFIX}due:{LANE}", "job") == due
    assert (await store.contact("job")).ref == "7"


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
    assert await store.load("job") == (ended, "ann")
    assert clean_redis.zscore(f"{PREFIX}due:{LANE}", "job") is None
    assert clean_redis.smembers(f"{PREFIX}active:ann") == set()


async def test_an_ended_job_is_kept_for_a_while(
    store: Store, clean_redis: redis.Redis
) -> None:
    ended, _ = await retaken(store, "ended", "other")
    await write(store, ended, ended.job.cancelled(0).revised())

    assert 0 < clean_redis.ttl(f"{PREFIX}job:ended") <= 60
    assert clean_redis.ttl(f"{PREFIX}job:other") == -1
    assert clean_redis.ttl(f"{PREFIX}owner:ann") == -1


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

    async with hearing(store) as heard:
        outcomes, beats = await store.advance(
            [back(taken, progress(taken.job, 10)) for taken in everything]
        )
        told = await heard()

    assert outcomes == [1] * LANE_SIZE
    assert len(beats) == 1
    assert {snapshot.job for snapshot in told} == set(jobs)


# Chains that were lost


async def test_a_lost_chain_is_started_again(
    store: Store, clean_redis: redis.Redis
) -> None:
    lost = await running(store, "job")
    await asyncio.sleep(0.002)
    clean_redis.delete(f"{PREFIX}beat:{LANE}")  # as time would

    [beat] = await store.ensure()

    assert beat.beat > lost.beat
    assert await store.ensure() == []
    assert (await next_tick(store, beat)).jobs


async def test_a_chain_whose_message_does_not_come_counts_as_lost(
    store: Store, clean_redis: redis.Redis
) -> None:
    await running(store, "job")

    assert 0 < clean_redis.pttl(f"{PREFIX}beat:{LANE}") < 1000


async def test_a_new_job_that_nobody_starts_is_found_by_the_watchdog(
    store: Store,
) -> None:
    await create(store, "job")

    [beat] = await store.ensure()

    assert 0 < beat.delay_ms <= LEASE_MS


# Reading an owner's jobs


async def ids(store: Store, **query: Any) -> tuple[list[str], str | None]:
    given = {"status": None, "limit": 2, "cursor": None} | query
    page = await store.page("ann", **given)
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
    clean_redis.delete(f"{PREFIX}job:two")

    found, cursor = await ids(store)

    assert set(found) == {"one", "three"}
    assert cursor is None


async def test_a_cursor_that_names_no_job_is_refused(store: Store) -> None:
    await create(store, "job")

    with pytest.raises(KeyError):
        await ids(store, cursor="nothing")


async def test_a_redis_that_answers_can_be_told(store: Store) -> None:
    await store.ping()


async def test_a_redis_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    nowhere = Store(
        connect(f"unix://{tmp_path}/nobody.sock"), job_ttl_s=60, poll_interval_ms=200
    )

    with pytest.raises(redis.ConnectionError):
        await nowhere.ping()
    await nowhere.close()


# Any interleaving

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["take", "take", "poll", "poll", "poll", "steal", "stop", "end", "expire"]
        ),
        st.integers(0, 1),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=30, deadline=None)
def test_no_interleaving_of_two_workers_skips_or_repeats_a_revision(
    redis_url: str, steps: list[tuple[str, int]]
) -> None:
    asyncio.run(work_together(redis_url, steps))


async def work_together(redis_url: str, steps: list[tuple[str, int]]) -> None:
    """Two workers, of whom each may hold a take that has long been lost."""
    store = Store(connect(redis_url), job_ttl_s=60, poll_interval_ms=200)
    client = redis.Redis.from_url(redis_url)
    client.delete(*client.keys(f"{PREFIX}*"), "nothing")
    await running(store, "job")
    hands: list[Taken | None] = [None, None]
    written = []

    async with hearing(store) as heard:
        for n, (step, worker) in enumerate(steps):
            if step == "take":
                taken = await tick(store, planned(client))
                hands[worker] = taken.jobs[0] if taken and taken.jobs else None
            elif step == "steal":
                hands[worker] = await store.claim("job", "cancel")
            elif step == "expire":
                loaded = await store.load("job")
                if loaded and not loaded[0].finished:
                    await let_leases_run_out(client, "job")
                await store.ensure()
            elif step == "stop":
                loaded = await store.load("job")
                assert loaded
                after = loaded[0].stopping(n)
                if after is not loaded[0]:
                    outcomes, _ = await store.advance(
                        [Change(loaded[0], after.revised())]
                    )
                    assert outcomes == [1]
                    written.append(after.revised())
            elif taken := hands[worker]:
                after = (
                    taken.job.cancelled(n) if step == "end" else progress(taken.job, n)
                )
                after = replace(after, revision=taken.job.revision + 1)
                if await write(store, taken, after) == 1:
                    written.append(after)
                    taken.job = after
        told = await heard()

    revisions = [snapshot.revision for snapshot in told]
    assert revisions == list(range(3, 3 + len(revisions)))
    assert revisions == [job.revision for job in written]
    assert [snapshot.finished for snapshot in told[:-1]] == [False] * len(told[:-1])
    last = await store.load("job")
    assert last
    if told:
        assert await store.snapshots(["job"]) == [told[-1]]
        assert last[0] == written[-1]
    is_listed = client.zscore(f"{PREFIX}due:{LANE}", "job") is not None
    assert is_listed is not last[0].finished
    await store.close()
    client.close()
