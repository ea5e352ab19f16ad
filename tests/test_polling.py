"""The actors in a worker of Dramatiq's, over a backend that answers as it is told."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from actors import Action, attend, now_ms, request
from actors.backends import BackendError, Report
from actors.messages import (
    send_beats,
    send_start,
)
from actors.status import Failure, Status
from actors.store import Store
from actors.store.values import BackendState, Beat, Change

from .support.kitchen import (
    AWAY,
    DONE,
    GONE,
    LANE,
    Answer,
    Kitchen,
    Oven,
    at,
    connected,
    working,
)

# The circle


async def test_a_job_goes_from_start_to_success(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [at(10), at(60), DONE]

    job = await kitchen.watched()
    ended = await kitchen.end(job)

    assert (ended.status, ended.progress) == (Status.SUCCEEDED, 100)
    assert ended.result == {"loaves": 2}
    assert kitchen.oven.started == [job]
    assert len(kitchen.oven.asked) == 3
    await kitchen.happens(lambda: kitchen.of(job)[-1:] == [ended])
    assert [told.progress for told in kitchen.of(job)] == [None, 10, 60, 100]


async def test_a_file_is_had_through_us(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [Report(status=Status.SUCCEEDED, file="image/png")]

    job = await kitchen.submit()
    ended = await kitchen.end(job)

    address = f"/jobs/{job}/result"
    assert ended.result == {"url": address, "content_type": "image/png"}


async def test_what_a_backend_has_us_remember_is_in_its_later_calls(
    kitchen: Kitchen,
) -> None:
    first = Report(status=Status.RUNNING, ref="/q/2", kept={"number": 4, "item": "a"})
    second = Report(status=Status.RUNNING, kept={"item": "b"})
    kitchen.oven.answers = [first, second, DONE]

    job = await kitchen.submit()
    kitchen.oven.by_job["/q/2"] = [second, DONE]
    await kitchen.end(job)

    asked = [(handle.ref, dict(handle.kept)) for handle in kitchen.oven.handles]
    assert asked == [
        (job, {}),
        ("/q/2", {"number": 4, "item": "a"}),
        ("/q/2", {"number": 4, "item": "b"}),
    ]


async def test_the_actor_reschedules_itself_with_200_ms(kitchen: Kitchen) -> None:
    kitchen.oven.poll_interval_ms = 200
    kitchen.oven.idle_interval_ms = 2000
    job = await kitchen.submit()
    await attend(kitchen.store, [job])

    await kitchen.happens(lambda: len(kitchen.oven.times(job)) >= 6)

    beats = [beat for beat, _ in kitchen.post.polls()]
    delays = [delay for _, delay in kitchen.post.polls()]
    assert all(0 < delay <= 200 for delay in delays)
    assert sorted(delays)[len(delays) // 2] > 150
    assert len(beats) == len(set(beats))
    first, *_, last = kitchen.oven.times(job)[1:6]
    assert 0.7 < last - first < 1.1


async def test_an_unwatched_job_is_polled_at_the_idle_pace(kitchen: Kitchen) -> None:
    kitchen.oven.idle_interval_ms = 500
    job = await kitchen.submit()

    await kitchen.happens(lambda: len(kitchen.oven.times(job)) >= 3)

    first, second, third = kitchen.oven.times(job)[:3]
    assert 0.4 < second - first < 0.8
    assert 0.4 < third - second < 0.8


async def test_attention_polls_at_once(kitchen: Kitchen) -> None:
    kitchen.oven.idle_interval_ms = 60_000
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)
    await kitchen.until(job, lambda job: job.observed_at != job.started_at)

    await attend(kitchen.store, [job])

    await kitchen.happens(lambda: len(kitchen.oven.asked) >= 5)


async def test_the_chain_ends_with_its_last_job(
    kitchen: Kitchen, clean_redis: redis.Redis
) -> None:
    kitchen.oven.answers = [DONE]

    await kitchen.end(await kitchen.submit())

    await kitchen.happens(lambda: not clean_redis.exists(f"progrock:2:beat:{LANE}"))
    await asyncio.to_thread(kitchen.broker.join, "poll", timeout=5000)
    assert len(kitchen.oven.asked) == 1
    assert not clean_redis.exists("progrock:2:lanes")


async def test_a_stale_beat_is_ignored(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [DONE]
    await kitchen.end(await kitchen.submit())
    await asyncio.to_thread(kitchen.broker.join, "poll", timeout=5000)
    kitchen.post.sent.clear()

    await send_beats([Beat(LANE, 1, 0)])
    await asyncio.to_thread(kitchen.broker.join, "poll", timeout=5000)

    [(message, _)] = kitchen.post.sent
    assert message.args == (LANE, 1)
    assert len(kitchen.oven.asked) == 1


async def test_every_message_twice_has_one_effect_and_one_successor(
    kitchen: Kitchen,
) -> None:
    kitchen.post.is_doubling = True
    kitchen.oven.answers = [*(at(n) for n in range(1, 11)), DONE]

    job = await kitchen.submit()
    await kitchen.end(job)

    assert kitchen.oven.started == [job]
    assert len(kitchen.oven.asked) == 11
    beats = [beat for beat, _ in kitchen.post.polls()]
    assert len(beats) == len(set(beats))
    moments = kitchen.oven.times(job)
    assert moments[-1] - moments[0] > 0.4


async def test_jobs_are_asked_for_together_where_the_backend_can(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.batch_size = 2
    jobs = [await kitchen.submit() for _ in range(3)]
    await kitchen.happens(lambda: {ref for ref, _ in kitchen.oven.asked} == set(jobs))

    kitchen.oven.answers = [DONE]

    for job in jobs:
        assert (await kitchen.end(job)).complete


# Polls that go wrong


async def test_a_poll_that_hangs_delays_nobody_else(kitchen: Kitchen) -> None:
    hanging, other = await kitchen.submit(), await kitchen.submit()
    await kitchen.happens(
        lambda: {ref for ref, _ in kitchen.oven.asked} == {hanging, other}
    )
    kitchen.oven.hanging.add(hanging)
    await asyncio.sleep(0.2)
    before, asked = len(kitchen.oven.times(hanging)), len(kitchen.oven.times(other))

    await kitchen.happens(lambda: len(kitchen.oven.times(other)) >= asked + 30)

    gaps = kitchen.oven.times(other)[asked:]
    assert (gaps[-1] - gaps[0]) / (len(gaps) - 1) < 0.1
    assert len(kitchen.oven.times(hanging)) == before  # and it keeps its lease


async def test_a_backend_that_is_away_is_told_and_then_that_it_is_back(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.answers = [at(10), AWAY, AWAY, at(10), at(20), DONE]

    job = await kitchen.watched()
    await kitchen.end(job)

    await kitchen.happens(lambda: kitchen.of(job)[-1:][0].finished)
    seen = [(told.progress, told.reachable) for told in kitchen.of(job)]
    assert seen == [
        *((None, True), (10, True), (10, False), (10, True), (20, True), (100, True))
    ]
    assert {told.status for told in kitchen.of(job)[:-1]} == {Status.RUNNING}


async def test_a_backend_that_is_away_is_asked_less_and_less(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [AWAY]

    job = await kitchen.submit()
    await kitchen.happens(lambda: len(kitchen.oven.asked) >= 4)

    one, two, three, four = kitchen.oven.times(job)[:4]
    assert two - one < three - two < four - three
    assert not (await kitchen.job(job)).reachable


async def test_a_backend_that_says_when_to_come_back_is_left_alone_until_then(
    kitchen: Kitchen,
) -> None:
    busy = BackendError("http_503", "The oven is busy.", retry_after_s=0.7)
    kitchen.oven.answers = [busy, DONE]

    job = await kitchen.submit()
    await attend(kitchen.store, [job])
    await kitchen.end(job)

    first, second = kitchen.oven.times(job)
    assert 0.6 < second - first < 1.5


async def test_a_success_may_say_when_to_come_back_too(kitchen: Kitchen) -> None:
    later = Report(status=Status.RUNNING, retry_after_s=0.7)
    kitchen.oven.answers = [later, DONE]

    job = await kitchen.submit()
    await attend(kitchen.store, [job])
    await kitchen.end(job)

    first, second = kitchen.oven.times(job)
    assert 0.6 < second - first < 1.5


async def test_the_time_in_which_nobody_asked_is_not_a_silence_of_the_backend(
    kitchen: Kitchen,
) -> None:
    """As after an hour in which no worker ran."""
    kitchen.oven.give_up_after_s = 5
    kitchen.oven.answers = [AWAY, at(66), DONE]
    await kitchen.add("job")
    await attend(kitchen.store, ["job"])
    lease = await kitchen.store.lease("job", "start")
    assert lease
    state = BackendState(ref="7", heard_ms=now_ms() - 3_600_000)
    started = lease.job.started(now_ms()).revised()
    change = Change(lease.job, started, state, lease.number, 0, 0)
    await send_beats((await kitchen.store.advance([change]))[1])

    assert (await kitchen.end("job")).complete
    assert [told.progress for told in kitchen.of("job") if told.reachable][-2] == 66


async def test_a_job_that_the_backend_forgot_has_failed(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [at(30), GONE]

    ended = await kitchen.end(await kitchen.submit())

    assert (ended.status, ended.progress) == (Status.FAILED, 30)
    assert ended.error == Failure("gone", "The oven no longer knows this job.")


async def test_a_backend_that_is_not_heard_again_is_given_up(kitchen: Kitchen) -> None:
    kitchen.oven.give_up_after_s = 0
    kitchen.oven.answers = [AWAY]

    ended = await kitchen.end(await kitchen.submit())

    assert ended.error == Failure("given_up", "Oven was not heard again.")


@pytest.mark.parametrize(
    "odd",
    [
        RuntimeError("a bug in a backend"),
        Report(status=Status.RUNNING, progress="half"),  # type: ignore[arg-type]
        Report(status=Status.RUNNING, message=object()),  # type: ignore[arg-type]
    ],
    ids=["raises", "breaks the job", "cannot be stored"],
)
async def test_a_bug_in_a_backend_stops_neither_this_job_nor_others(
    kitchen: Kitchen, odd: Answer
) -> None:
    bad, good = await kitchen.add("bad"), await kitchen.add("good")
    kitchen.oven.by_job[bad] = [odd, at(50), DONE]
    kitchen.oven.by_job[good] = [at(50), DONE]
    for job in (bad, good):
        await send_start(job)

    assert (await kitchen.end(good)).complete
    assert (await kitchen.end(bad)).complete


# Saying the same


async def test_a_watched_job_that_stays_the_same_is_told_again_every_two_seconds(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.answers = [at(30)]
    kitchen.oven.poll_interval_ms = 200
    job = await kitchen.submit()
    await attend(kitchen.store, [job])
    first = await kitchen.until(job, lambda job: job.progress == 30)
    begun = time.monotonic()

    second = await kitchen.until(job, lambda job: job.revision > first.revision)

    assert 1.6 < time.monotonic() - begun < 2.6
    assert second.revision == first.revision + 1
    assert not second.differs_from(first)
    assert second.changed_at == first.changed_at
    assert second.observed_at != first.observed_at


async def test_of_an_unwatched_job_only_its_end_is_told(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [at(10), at(20), DONE]

    job = await kitchen.submit()
    ended = await kitchen.end(job)

    await kitchen.happens(lambda: kitchen.of(job) == [ended])
    assert ended.revision == 5


async def test_an_unwatched_job_that_stays_the_same_is_only_noted(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.answers = [at(30)]
    job = await kitchen.submit()
    first = await kitchen.until(job, lambda job: job.progress == 30)
    asked = len(kitchen.oven.asked)

    await kitchen.happens(lambda: len(kitchen.oven.asked) >= asked + 20)

    later = await kitchen.job(job)
    assert later.revision == first.revision
    assert later.changed_at == first.changed_at
    assert later.observed_at != first.observed_at
    assert kitchen.of(job) == []


# The end of a worker


async def test_a_worker_that_ends_leaves_its_jobs_to_the_next(
    store: Store, redis_url: str
) -> None:
    first, second = Oven(), Oven()
    second.answers = [DONE]
    async with working(StubBroker([]), store, first, redis_url, 10) as ours:
        job = await ours.submit()
        await ours.happens(lambda: len(first.asked) >= 3)

    async with working(StubBroker([]), store, second, redis_url, 10) as ours:
        assert (await ours.end(job)).complete

    assert second.started == []


# The same circle over the real broker


async def test_the_circle_turns_on_redis(store: Store, redis_url: str) -> None:
    oven = Oven()
    oven.poll_interval_ms = 200
    oven.answers = [*(at(n * 10) for n in range(1, 8)), DONE]
    broker = connected(redis_url)

    async with working(broker, store, oven, redis_url, 500) as ours:
        job = await ours.submit()
        await attend(store, [job])
        ended = await ours.end(job)
        await ours.happens(lambda: ours.of(job)[-1:] == [ended])
        told = [each.progress for each in ours.of(job)]

    broker.close()
    broker.client.close()
    assert told == [None, 10, 20, 30, 40, 50, 60, 70, 100]
    times = oven.times(job)
    gaps = sorted(later - sooner for sooner, later in pairwise(times))
    assert 0.15 < gaps[len(gaps) // 2] < 0.25


async def test_a_cancel_is_at_once_on_redis(store: Store, redis_url: str) -> None:
    oven = Oven()
    oven.poll_interval_ms, oven.idle_interval_ms = 200, 2000
    broker = connected(redis_url)

    async with working(broker, store, oven, redis_url, 500) as ours:
        job = await ours.submit()
        await ours.happens(lambda: oven.asked)
        begun = time.monotonic()
        await request(store, job, Action.CANCEL, owner="ann")
        assert (await ours.end(job)).status is Status.CANCELLED
        took_s = time.monotonic() - begun

    broker.close()
    broker.client.close()
    assert took_s < 1
