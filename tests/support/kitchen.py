"""A worker of Dramatiq's, over a backend that answers as it is told."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from dramatiq import Broker, Message, Middleware, Worker
from dramatiq.brokers.stub import StubBroker

from actors import Action, Settings, attend, submit
from actors.backends import (
    AbsentError,
    Adoptable,
    BackendError,
    Handle,
    Report,
    ResultFile,
    Started,
)
from actors.broker import PunctualBroker
from actors.clock import now_ms, timestamp
from actors.job import Job
from actors.messages import (
    poll,
    request as request_actor,
    send_start,
    start as start_actor,
)
from actors.recipes.params import ParamsError
from actors.status import Status
from actors.store import Store
from actors.store.values import announced
from actors.worker.loop import UvLoop, WorkerProcess

LANE = "oven:0"
DEADLINE_S = 10

RUNNING = Report(status=Status.RUNNING)
DONE = Report(status=Status.SUCCEEDED, result={"loaves": 2})
STOPPED = Report(status=Status.CANCELLED)
PAUSED = Report(status=Status.PAUSED)
OBEYED = {Action.CANCEL: STOPPED, Action.PAUSE: PAUSED, Action.RESUME: RUNNING}
AWAY = BackendError("unreachable", "The oven is away.")
GONE = AbsentError("The oven no longer knows this job.")
REFUSED = BackendError("http_422", "Too many loaves.", permanent=True)

Answer = Report | BackendError | Exception


def at(percentage: float) -> Report:
    return Report(status=Status.RUNNING, progress=percentage)


class Oven:
    """A backend: each call takes the next answer of its list, and the last for ever."""

    title = "Oven"
    description = ""
    params: Mapping[str, Any] = {}
    can: tuple[str, ...] = ("cancel", "pause", "resume")
    lane_size = 200
    starts_once = False
    deadline_s: int | None = None
    adopt_title: str | None = "Tray"
    lists = False
    most_active: int | None = None
    calls_per_minute: int | None = None

    def __init__(self, name: str = "oven") -> None:
        self.name = name
        self.batch_size = 1
        self.poll_interval_ms = 50
        self.idle_interval_ms = 50
        self.give_up_after_s = 60
        self.answers: list[Answer] = [RUNNING]
        self.by_job: dict[str, list[Answer]] = {}
        self.start_errors: list[Exception | None] = []
        self.request_errors: list[Exception | None] = []
        self.started: list[str] = []
        self.requests: list[tuple[Action, str]] = []
        self.asked: list[tuple[str, float]] = []
        self.handles: list[Handle] = []
        self.obeyed = dict(OBEYED)
        self.hanging: set[str] = set()
        self.calls_made = 0

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return dict(params)

    def check_ref(self, ref: str) -> str:
        if not ref.isalnum():
            raise ParamsError("The tray does not fit.")
        return ref

    async def adoptable(self) -> list[Adoptable]:
        raise NotImplementedError

    async def start(self, job: str, params: Mapping[str, Any]) -> Started:
        self.calls_made += 1
        self.started.append(job)
        await self.hang(job)
        raise_next(self.start_errors)
        return Started(job)

    async def reports(self, jobs: Sequence[Handle]) -> list[Report | BackendError]:
        self.calls_made += 1
        refs = [job.ref for job in jobs]
        self.handles += jobs
        for ref in refs:
            self.asked.append((ref, time.monotonic()))
            await self.hang(ref)
        return [self.next_answer(ref) for ref in refs]

    async def send(self, action: Action, job: Handle) -> None:
        self.calls_made += 1
        self.requests.append((action, job.ref))
        raise_next(self.request_errors)
        if not self.request_errors:
            self.answers = [self.obeyed[action]]

    def result(self, job: Handle) -> AbstractAsyncContextManager[ResultFile]:
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
    """Notes all that is enqueued; it may lose messages, or deliver each twice."""

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
    """A worker, its backend, and all that the feed has told."""

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
        await self.store.create(new, owner="ann", max_active=0, lane_size=200)
        return job

    async def watched(self, job: str = "watched") -> str:
        """Start a job that is watched for some seconds, so that all of it is told."""
        await self.add(job)
        await attend(self.store, [job])
        await send_start(job)
        return job

    async def job(self, job: str) -> Job:
        loaded = await self.store.load(job)
        assert loaded
        return loaded

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
        """All that was told of a job, in the order it was told."""
        return [told for told in self.told if told.job == job]

    async def listen(self) -> None:
        begun: set[bytes] = set()

        async def take(kind: str, channel: bytes, news: bytes) -> None:
            if kind == "begun":
                begun.add(channel)
                if len(begun) == len(self.store.channels):
                    self.is_listening.set()
                return
            for snapshot in announced(news):
                self.told.append(msgspec.json.decode(snapshot.data, type=Job))

        feed = self.store.feed(take)
        try:
            for channel in self.store.channels:
                await feed.subscribe(channel)
            await feed.lost()
        finally:
            await feed.close()

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
    actors = (poll, start_actor, request_actor)
    before = [actor.broker for actor in actors]
    for actor in actors:
        actor.broker = broker
        broker.declare_actor(actor)
    try:
        yield
    finally:
        for actor, theirs in zip(actors, before, strict=True):
            actor.broker = theirs


def connected(redis_url: str) -> PunctualBroker:
    broker = PunctualBroker()
    broker.connect(redis_url)
    return broker


@asynccontextmanager
async def working(
    broker: Broker,
    store: Store,
    oven: Any,  # an Oven, or any other Backend
    redis_url: str,
    worker_timeout: int,
    grace_ms: int = 60_000,
    **changes: Any,
) -> AsyncIterator[Kitchen]:
    """A worker that works with `oven` and nothing else; `changes` are of settings."""
    ours = replace(
        Settings.read(os.environ), redis_url=redis_url, job_ttl_s=60, **changes
    )
    post = Post()
    process = WorkerProcess(ours, {oven.name: oven}, grace_ms)
    for middleware in (UvLoop(), process, post):
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
            if isinstance(oven, Oven):
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
