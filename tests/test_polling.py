"""The actors in a worker of Dramatiq's, over a backend that answers as it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import redis
from dramatiq import Broker, Message, Middleware, Worker
from dramatiq.brokers.stub import StubBroker

from actors import NotPossibleError, attend, cancel, submit
from actors.backends import BackendError, Report, ResultFile
from actors.broker.redis_broker import UvLoop, connect
from actors.job import Job, Problem, Status, timestamp
from actors.messages import (
    cancel as cancel_actor,
    poll,
    send_beats,
    send_start,
    start as start_actor,
)
from actors.settings import settings
from actors.store import PREFIX, Store, now_ms
from actors.store.values import Beat, announced
from actors.worker.loop import WorkerProcess

LANE = "oven:0"
DEADLINE_S = 10

RUNNING = Report(status=Status.RUNNING)
DONE = Report(status=Status.SUCCEEDED, result={"loaves": 2})
STOPPED = Report(status=Status.CANCELLED)
AWAY = BackendError("unreachable", "The oven is away.")
GONE = BackendError("gone", "The oven no longer knows this job.", permanent=True)
REFUSED = BackendError("http_422", "Too many loaves.", permanent=True)

Answer = Report | BackendError | Exception


def at(percentage: float) -> Report:
    return Report(status=Status.RUNNING, progress=percentage)


class Oven:
    """A backend: each call takes the next answer of its list, and the last for ever."""

    name = "oven"
    title = "Oven"
    description = ""
    params: Mapping[str, Any] = {}
    can: tuple[str, ...] = ("cancel",)
    lane_size = 200
    give_up_after_s = 60

    def __init__(self) -> None:
        self.batch_size = 1
        self.poll_interval_ms = 50
        self.idle_interval_ms = 50
        self.answers: list[Answer] = [RUNNING]
        self.by_job: dict[str, list[Answer]] = {}
        self.start_errors: list[Exception | None] = []
        self.cancel_errors: list[Exception | None] = []
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.asked: list[tuple[str, float]] = []
        self.hanging: set[str] = set()

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return dict(params)

    async def start(self, job: str, params: Mapping[str, Any]) -> str:
        self.started.append(job)
        await self.hang(job)
        raise_next(self.start_errors)
        return job

    async def reports(self, refs: Sequence[str]) -> list[Report | BackendError]:
        for ref in refs:
            self.asked.append((ref, time.monotonic()))
            await self.hang(ref)
        return [self.next_answer(ref) for ref in refs]

    async def cancel(self, ref: str) -> None:
        self.cancelled.append(ref)
        raise_next(self.cancel_errors)
        if not self.cancel_errors:
            self.answers = [STOPPED]

    def result(self, ref: str) -> AbstractAsyncContextManager[ResultFile]:
        raise NotImplementedError

    async def close(self) -> None:
        pass

    async def hang(self, job: str) -> None:
        while job in self.hanging:
            await asyncio.sleep(0.005)

    def next_answer(self, ref: str) -> Report | BackendError:
        answers = self.by_job.get(ref, self.answers)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Report | BackendError):
            return answer
        raise answer

    def times(self, job: str) -> list[float]:
        """When the job was asked for."""
        return [moment for ref, moment in self.asked if ref == job]


def raise_next(errors: list[Exception | None]) -> None:
    error = errors.pop(0) if errors else None
    if error:
        raise error


class Post(Middleware):
    """What is enqueued; it may lose messages, or deliver each twice."""

    def __init__(self) -> None:
        self.sent: list[tuple[Message[Any], int | None]] = []
        self.is_doubling = False

    def after_enqueue(self, broker: Broker, message: Any, delay: int | None) -> None:
        self.sent.append((message, delay))
        if self.is_doubling and not message.options.get("again"):
            broker.enqueue(message.copy(options={"again": True}))

    def polls(self) -> list[tuple[int, int]]:
        """The beats that were sent to be due later, and how much."""
        return [
            (message.args[1], delay)
            for message, delay in self.sent
            if message.actor_name == "poll" and delay and "again" not in message.options
        ]


class Kitchen:
    """A worker, its backend, and what the feed has told."""

    def __init__(self, store: Store, oven: Oven, broker: Broker, post: Post) -> None:
        self.store = store
        self.oven = oven
        self.broker = broker
        self.post = post
        self.told: list[Job] = []
        self.is_listening = asyncio.Event()

    async def submit(self, **params: Any) -> str:
        return (await submit(self.store, self.oven, params, owner="ann")).job

    async def add(self, job: str) -> str:
        """Create a job whose start message is lost."""
        now = timestamp(now_ms())
        can = self.oven.can
        new = Job(job=job, backend="oven", can=can, created_at=now, changed_at=now)
        await self.store.create(new, owner="ann", most_active=0, lane_size=200)
        return job

    async def job(self, job: str) -> Job:
        loaded = await self.store.load(job)
        assert loaded
        return loaded[0]

    async def until(self, job: str, holds: Callable[[Job], object]) -> Job:
        async with asyncio.timeout(DEADLINE_S):
            while not holds(now := await self.job(job)):
                await asyncio.sleep(0.005)
        return now

    async def end(self, job: str) -> Job:
        return await self.until(job, lambda job: job.finished)

    async def happens(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                await asyncio.sleep(0.005)

    def of(self, job: str) -> list[Job]:
        """What was told of a job, in the order it was told."""
        return [told for told in self.told if told.job == job]

    async def listen(self) -> None:
        async with self.store.listen() as pubsub:
            await pubsub.get_message(timeout=5)
            self.is_listening.set()
            while True:
                message = await pubsub.get_message(timeout=5)
                for snapshot in announced(message["data"]) if message else ():
                    self.told.append(msgspec.json.decode(snapshot.data, type=Job))

    def assert_well_told(self) -> None:
        """Every revision once and in order, progress only up, the end last."""
        for job in {told.job for told in self.told}:
            told = self.of(job)
            assert all(b.revision == a.revision + 1 for a, b in pairwise(told))
            known = [t.progress for t in told if t.progress is not None]
            assert known == sorted(known)
            assert not any(t.finished for t in told[:-1])


@contextmanager
def bound_to(broker: Broker) -> Iterator[None]:
    """Inside, the actors are this broker's."""
    actors = (poll, start_actor, cancel_actor)
    before = [actor.broker for actor in actors]
    for actor in actors:
        actor.broker = broker
        broker.declare_actor(actor)
    try:
        yield
    finally:
        for actor, theirs in zip(actors, before, strict=True):
            actor.broker = theirs


@asynccontextmanager
async def working(
    broker: Broker, store: Store, oven: Oven, redis_url: str, worker_timeout: int
) -> AsyncIterator[Kitchen]:
    """A worker that works with `oven` and nothing else."""
    ours = replace(settings, redis_url=redis_url, job_ttl_s=60)
    post = Post()
    for middleware in (UvLoop(), WorkerProcess(ours, {"oven": oven}), post):
        broker.add_middleware(middleware)
    with bound_to(broker):
        worker = Worker(broker, worker_timeout=worker_timeout, worker_threads=4)
        await asyncio.to_thread(worker.start)
        kitchen = Kitchen(store, oven, broker, post)
        listening = asyncio.create_task(kitchen.listen())
        try:
            await kitchen.is_listening.wait()
            yield kitchen
        finally:
            oven.hanging.clear()
            await asyncio.to_thread(worker.stop)
            listening.cancel()
            await asyncio.wait([listening])
    kitchen.assert_well_told()


@pytest.fixture
async def kitchen(store: Store, redis_url: str) -> AsyncIterator[Kitchen]:
    """A worker on a broker of its own, so that nothing is left over for the next."""
    async with working(StubBroker(middleware=[]), store, Oven(), redis_url, 10) as ours:
        yield ours


# The circle


async def test_a_job_goes_from_start_to_success(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [at(10), at(60), DONE]

    job = await kitchen.submit(loaves=2)
    ended = await kitchen.end(job)

    assert (ended.status, ended.progress) == (Status.SUCCEEDED, 100)
    assert ended.result == {"loaves": 2}
    assert kitchen.oven.started == [job]
    assert len(kitchen.oven.asked) == 3
    await kitchen.happens(lambda: kitchen.of(job)[-1:] == [ended])
    assert [told.progress for told in kitchen.of(job)] == [None, 10, 60, 100]


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

    await kitchen.happens(lambda: not clean_redis.exists(f"{PREFIX}beat:{LANE}"))
    await asyncio.to_thread(kitchen.broker.join, "poll", timeout=5000)
    assert len(kitchen.oven.asked) == 1
    assert not clean_redis.exists(f"{PREFIX}lanes")


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


# Starts


async def test_a_start_that_is_refused_fails_the_job_with_the_reason(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.start_errors = [REFUSED]

    ended = await kitchen.end(await kitchen.submit())

    assert ended.status is Status.FAILED
    assert ended.error == Problem("http_422", "Too many loaves.")
    assert len(kitchen.oven.started) == 1
    assert kitchen.oven.asked == []


async def test_a_start_that_fails_twice_is_tried_again(kitchen: Kitchen) -> None:
    kitchen.oven.start_errors = [AWAY, AWAY]
    kitchen.oven.answers = [DONE]

    job = await kitchen.submit()

    assert (await kitchen.end(job)).status is Status.SUCCEEDED
    assert kitchen.oven.started == [job] * 3
    assert [told.reachable for told in kitchen.of(job)][:2] == [False, True]


async def test_a_start_that_always_fails_fails_the_job(kitchen: Kitchen) -> None:
    kitchen.oven.start_errors = [AWAY] * 100

    ended = await kitchen.end(await kitchen.submit())

    assert ended.status is Status.FAILED
    assert ended.error == Problem("unreachable", "The oven is away.")
    assert 1 < len(kitchen.oven.started) < 10


async def test_a_job_whose_start_message_is_lost_is_started_by_the_chain(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.answers = [DONE]

    await kitchen.add("lost")

    assert (await kitchen.end("lost")).complete
    assert kitchen.oven.started == ["lost"]


async def test_a_start_that_takes_long_happens_once(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [DONE]
    kitchen.oven.hanging.add("slow")
    await kitchen.add("slow")
    await send_start("slow")
    begun = time.monotonic()

    await kitchen.happens(lambda: time.monotonic() - begun > 1.7)
    kitchen.oven.hanging.clear()

    assert (await kitchen.end("slow")).complete
    assert kitchen.oven.started == ["slow"]


# Cancels


async def test_a_cancel_reaches_the_backend_and_ends_the_job(kitchen: Kitchen) -> None:
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)

    stopping = await cancel(kitchen.store, job)
    ended = await kitchen.end(job)

    assert (stopping.status, stopping.can) == (Status.STOPPING, ())
    assert ended.status is Status.CANCELLED
    assert ended.error is None
    assert kitchen.oven.cancelled == [job]


async def test_a_cancel_does_not_wait_for_the_next_poll(kitchen: Kitchen) -> None:
    kitchen.oven.idle_interval_ms = 60_000
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)

    await cancel(kitchen.store, job)

    assert (await kitchen.end(job)).status is Status.CANCELLED


async def test_a_cancel_before_the_start_never_calls_the_backend(
    kitchen: Kitchen,
) -> None:
    await kitchen.add("early")

    await cancel(kitchen.store, "early")
    await send_start("early")

    assert (await kitchen.end("early")).status is Status.CANCELLED
    assert kitchen.oven.started == kitchen.oven.cancelled == []


async def test_a_cancel_while_it_is_started_is_sent_afterwards(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.hanging.add("slow")
    await kitchen.add("slow")
    await send_start("slow")
    await kitchen.happens(lambda: kitchen.oven.started)

    await cancel(kitchen.store, "slow")
    kitchen.oven.hanging.clear()

    assert (await kitchen.end("slow")).status is Status.CANCELLED
    assert kitchen.oven.cancelled == ["slow"]


async def test_a_cancel_while_a_start_waits_to_be_tried_again_is_at_once(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.idle_interval_ms = 60_000
    kitchen.oven.start_errors = [AWAY] * 100
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: not job.reachable)

    await cancel(kitchen.store, job)

    assert (await kitchen.end(job)).status is Status.CANCELLED
    assert len(kitchen.oven.started) == 1


async def test_a_cancel_is_at_once_while_a_poll_hangs(kitchen: Kitchen) -> None:
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)
    kitchen.oven.hanging.add(job)
    asked = len(kitchen.oven.asked)
    await kitchen.happens(lambda: len(kitchen.oven.asked) > asked)

    await cancel(kitchen.store, job)

    await kitchen.happens(lambda: kitchen.oven.cancelled)
    kitchen.oven.hanging.clear()
    assert (await kitchen.end(job)).status is Status.CANCELLED


async def test_a_cancel_that_fails_is_tried_again(kitchen: Kitchen) -> None:
    kitchen.oven.cancel_errors = [AWAY, AWAY]
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)

    await cancel(kitchen.store, job)

    assert (await kitchen.end(job)).status is Status.CANCELLED
    assert len(kitchen.oven.cancelled) == 3


async def test_a_job_that_its_backend_does_not_stop_ends_by_itself(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.cancel_errors = [AWAY] * 100
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)
    await cancel(kitchen.store, job)
    await kitchen.happens(lambda: len(kitchen.oven.cancelled) >= 2)

    kitchen.oven.answers = [DONE]

    assert (await kitchen.end(job)).status is Status.SUCCEEDED


async def test_a_job_that_is_gone_when_it_is_stopped_is_cancelled(
    kitchen: Kitchen,
) -> None:
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)
    kitchen.oven.cancel_errors = [None, None]  # it keeps its answers
    kitchen.oven.answers = [RUNNING, GONE]

    await cancel(kitchen.store, job)

    ended = await kitchen.end(job)
    assert (ended.status, ended.error) == (Status.CANCELLED, None)


async def test_a_second_cancel_changes_nothing(kitchen: Kitchen) -> None:
    job = await kitchen.submit()
    first = await cancel(kitchen.store, job)
    second = await cancel(kitchen.store, job)
    ended = await kitchen.end(job)

    assert second.status in (Status.STOPPING, Status.CANCELLED)
    assert second.revision >= first.revision
    assert await cancel(kitchen.store, job) == ended


async def test_what_cannot_be_stopped_is_not(kitchen: Kitchen) -> None:
    kitchen.oven.can = ()
    job = await kitchen.submit()

    with pytest.raises(NotPossibleError):
        await cancel(kitchen.store, job)

    assert not (await kitchen.job(job)).finished


async def test_a_job_that_is_not_there_cannot_be_stopped(kitchen: Kitchen) -> None:
    with pytest.raises(KeyError):
        await cancel(kitchen.store, "nothing")


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

    job = await kitchen.submit()
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


async def test_a_job_that_the_backend_forgot_has_failed(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [at(30), GONE]

    ended = await kitchen.end(await kitchen.submit())

    assert (ended.status, ended.progress) == (Status.FAILED, 30)
    assert ended.error == Problem("gone", "The oven no longer knows this job.")


async def test_a_backend_that_is_not_heard_again_is_given_up(kitchen: Kitchen) -> None:
    kitchen.oven.give_up_after_s = 0
    kitchen.oven.answers = [AWAY]

    ended = await kitchen.end(await kitchen.submit())

    assert ended.error == Problem("given_up", "Oven was not heard again.")


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
    assert second.says() == first.says()
    assert second.changed_at == first.changed_at
    assert second.observed_at != first.observed_at


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
    assert len(kitchen.of(job)) == 2


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
    broker = connect(redis_url, [])

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
    broker = connect(redis_url, [])

    async with working(broker, store, oven, redis_url, 500) as ours:
        job = await ours.submit()
        await ours.happens(lambda: oven.asked)
        begun = time.monotonic()
        await cancel(store, job)
        assert (await ours.end(job)).status is Status.CANCELLED
        took_s = time.monotonic() - begun

    broker.close()
    broker.client.close()
    assert took_s < 1
