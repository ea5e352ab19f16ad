"""Very many jobs in one Redis: how long each script holds it up, and its memory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any, TypeVar

import redis
from msgspec.structs import replace

from actors.clock import now_ms, timestamp
from actors.job import Job
from actors.store import Store
from actors.store.redis import connect
from actors.store.tags import tags
from actors.store.values import BackendState, Beat, Change, Lease
from dev.redis import embedded

from .attempts import Attempts
from .say import say

WATCHED, IDLE = 10_000, 100_000
PARTITIONS = 16
LANE_SIZE = 200
AT_ONCE = 500  # calls that wait together
ATTEND_AT_ONCE = 250  # as the hub does
WRITE_AT_ONCE = 50  # as a busy worker does
ALL_SLOW_US = 0

T = TypeVar("T")


def measure() -> dict[str, object]:
    """Measure and print; returns the values for the JSON file."""
    attempts = Attempts()
    say(f"{WATCHED} watched and {IDLE} idle jobs in {PARTITIONS} partitions")
    figures = attempts.run("scale", lambda: asyncio.run(_measured()))
    for name, figure in (figures or {}).items():
        say(f"  {name}: {figure}")
    return {"figures": figures, "not_measured": attempts.failed}


async def _measured() -> dict[str, Any]:
    with embedded() as server, redis.Redis.from_url(server.url) as client:
        client.config_set("slowlog-max-len", 100_000)
        store = Store(
            connect(server.url),
            job_ttl_s=3600,
            poll_interval_ms=200,
            partitions=PARTITIONS,
        )
        found = await Scale(store, client).measured()
        await store.close()
        return found


class Scale:
    """A store full of jobs, and the slowest call of each script in it."""

    def __init__(self, store: Store, client: redis.Redis) -> None:
        self._store = store
        self._client = client
        self._found: dict[str, Any] = {}

    async def measured(self) -> dict[str, Any]:
        empty = self._memory()
        await self._watch_calls("create", self._created("idle", IDLE))
        self._found["bytes_per_idle_job"] = (self._memory() - empty) // IDLE
        jobs = await self._created("watched", WATCHED)
        await self._watch_calls("attend", self._attended(jobs))
        beats = await self._store.ensure()
        leases = await self._watch_calls("beat", self._beaten(beats))
        await self._watch_calls("advance", self._advanced(leases))
        await self._watch_calls("list", self._listed())
        self._found["jobs"] = int(WATCHED + IDLE)
        return self._found

    async def _watch_calls(self, name: str, work: Any) -> Any:
        self._client.config_set("slowlog-log-slower-than", ALL_SLOW_US)
        self._client.slowlog_reset()
        began = perf_counter()
        result = await work
        self._found[f"{name}_s"] = round(perf_counter() - began, 2)
        calls = [
            each["duration"]
            for each in self._client.slowlog_get(100_000)
            if each["command"].upper().startswith(b"EVALSHA")
        ]
        if calls:
            self._found[f"{name}_script_max_ms"] = round(max(calls) / 1000, 2)
            self._found[f"{name}_script_mean_us"] = round(sum(calls) / len(calls))
        self._client.slowlog_reset()  # it takes memory
        return result

    async def _created(self, kind: str, number: int) -> list[str]:
        ids: list[str] = []
        for some in _pieces(range(number), AT_ONCE):
            jobs = [_job(kind, n) for n in some]
            await asyncio.gather(
                *(
                    self._store.create(
                        job, owner=f"owner-{n}", max_active=0, lane_size=LANE_SIZE
                    )
                    for n, job in zip(some, jobs, strict=True)
                )
            )
            ids += [job.job for job in jobs]
        return ids

    async def _attended(self, jobs: Sequence[str]) -> None:
        for group in self._store.grouped(jobs, str):
            for some in _pieces(group, ATTEND_AT_ONCE):
                await self._store.attend(some)

    async def _beaten(self, beats: Sequence[Beat]) -> list[Lease]:
        leases: list[Lease] = []
        for beat in beats:
            due = await self._store.beat(
                beat.lane, beat.number, interval_ms=200, idle_interval_ms=2000
            )
            leases += due.leases if due else []
        return leases

    async def _advanced(self, leases: Sequence[Lease]) -> None:
        for group in self._store.grouped(leases, lambda lease: lease.job_id):
            for some in _pieces(group, WRITE_AT_ONCE):
                await self._store.advance([_moved(lease) for lease in some])

    async def _listed(self) -> None:
        for n in range(100):
            page = await self._store.owned.page(
                f"owner-{n}", status=None, limit=20, cursor=None
            )
            assert page.snapshots

    def _memory(self) -> int:
        return int(self._client.info("memory")["used_memory"])


def _pieces(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(things), size):
        yield things[first : first + size]


def _job(kind: str, number: int) -> Job:
    tag = tags(PARTITIONS)[number % PARTITIONS]
    now = timestamp(now_ms())
    return Job(
        job=f"{tag}~{secrets.token_urlsafe(16)}",
        backend=kind,
        can=("cancel",),
        params={"total": 1000, "seconds": 60},
        created_at=now,
        changed_at=now,
    )


def _moved(lease: Lease) -> Change:
    job = replace(lease.job, progress=41.5, message="row 415 of 1000", done=415)
    state = BackendState(ref="7", heard_ms=now_ms(), is_seen=True)
    due = lease.at_ms + 200
    return Change(lease.job, job.revised(), state, lease.number, due, due + 1800)
