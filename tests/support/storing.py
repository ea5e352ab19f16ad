"""Jobs in a store, as a worker would take them and write them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import redis
from msgspec.structs import replace

from actors.clock import timestamp
from actors.job import Job
from actors.store import Store
from actors.store.values import (
    BackendState,
    Beat,
    Change,
    Due,
    Lease,
    Snapshot,
    announced,
)

LANE = "render:0"
LANE_SIZE = 200
NOON = timestamp(1_767_268_800_000)
FAR_MS = 2**42  # a due time that no test lives to see
PUT_BACK_MS = 3_600_000  # by how much a clock may be put back


def new(job: str = "job", **fields: Any) -> Job:
    return Job(job=job, backend="render", created_at=NOON, changed_at=NOON, **fields)


async def create(
    store: Store, *jobs: str | Job, owner: str = "ann", max_active: int = 0
) -> None:
    for job in jobs:
        job = job if isinstance(job, Job) else new(job)
        await store.create(job, owner=owner, max_active=max_active, lane_size=LANE_SIZE)


async def running(store: Store, *jobs: str, due_ms: int = 0) -> Beat:
    """Jobs that their backend has taken on; gives their lane's first beat."""
    await create(store, *jobs)
    changes = []
    for job in jobs:
        taken = await claimed(store, job)
        started = taken.job.started(0).revised()
        changes.append(back(taken, started, due_ms, state=BackendState(ref="7")))
    outcomes, beats = await store.advance(changes)
    assert outcomes == [1] * len(jobs)
    return beats[0] if beats else Beat(LANE, 0, 0)


async def claimed(
    store: Store, job: str, purpose: Literal["start", "request"] = "start"
) -> Lease:
    taken = await store.lease(job, purpose)
    assert taken
    return taken


def back(
    taken: Lease, job: Job, due_ms: int | None = 0, state: BackendState | None = None
) -> Change:
    return Change(taken.job, job, state, taken.number, due_ms, due_ms)


async def write(store: Store, taken: Lease, job: Job, **more: Any) -> int:
    [outcome], _ = await store.advance([back(taken, job, **more)])
    return outcome


async def give_back(store: Store, tick: Due, pause_ms: int = 0) -> None:
    """Write jobs back as they were, to be polled so long after their moment."""
    await store.advance(
        [back(taken, taken.job, taken.at_ms + pause_ms) for taken in tick.leases]
    )


async def tick(store: Store, beat: int, interval_ms: int = 200) -> Due | None:
    return await store.beat(LANE, beat, interval_ms=interval_ms, idle_interval_ms=2000)


async def next_tick(store: Store, beat: Beat, interval_ms: int = 200) -> Due:
    """Wait for a beat to be due, and take the jobs."""
    await asyncio.sleep(beat.delay_ms / 1000)
    taken = await tick(store, beat.number, interval_ms)
    assert taken
    return taken


async def retaken(store: Store, *jobs: str) -> list[Lease]:
    """Running jobs as a poll takes them."""
    taken = await next_tick(store, await running(store, *jobs))
    assert {one.job_id for one in taken.leases} == set(jobs)
    return sorted(taken.leases, key=lambda one: jobs.index(one.job_id))


def progress(job: Job, percentage: float) -> Job:
    return replace(job, progress=percentage).revised()


@asynccontextmanager
async def hearing(
    store: Store,
) -> AsyncIterator[Callable[[], Awaitable[list[Snapshot]]]]:
    """Listen to the feed inside; calling gives all snapshots that came."""
    came: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def take(kind: str, channel: bytes, news: bytes) -> None:
        came.put_nowait((kind, news))

    async def heard() -> list[Snapshot]:
        snapshots: list[Snapshot] = []
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.05):
                    snapshots += announced((await came.get())[1])
        return snapshots

    feed = store.feed(take)
    try:
        await feed.subscribe(store.first_channel)
        assert (await came.get())[0] == "begun"
        yield heard
    finally:
        await feed.close()


async def let_leases_run_out(clean_redis: redis.Redis, *jobs: str) -> None:
    """As if so much time had passed."""
    for job in jobs:
        clean_redis.hset(f"progrock:2:job:{job}", "lease_until", 1)
        clean_redis.zadd(f"progrock:2:due:{LANE}", {job: 1})


def planned(clean_redis: redis.Redis) -> int:
    """The beat that the lane waits for."""
    return int(clean_redis.hget(f"progrock:2:beat:{LANE}", "number") or 0)
