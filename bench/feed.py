"""The cost of telling many watchers, beside a naive app and nginx with nchan."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
import psutil
import uvloop
from msgspec.structs import replace
from redis.asyncio import Redis

from actors.clock import now_ms, timestamp
from actors.job import Job
from actors.status import Status
from actors.store import Store
from actors.store.redis import connect as connect_redis
from actors.store.values import Change
from dev.processes import WEB, Process, Stack, answers, wait_for
from dev.redis import Server, embedded

from . import naive, nchan
from .attempts import Attempts
from .meters import Usage, meter
from .runs import percentile
from .say import say
from .streams import Address, Arrivals, Kind, close, connect, stamp

TOKEN = "a token of the benchmark"
HEADERS = f"Authorization: Bearer {TOKEN}\r\n"
OWNER = "token-bench"
UPDATES_A_SECOND = 5
SETTLE_S = 2
COUNT_S = 8
IDLE_STREAMS = 5000
KINDS: tuple[Kind, ...] = ("socket", "events")

Publish = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fanout:
    """The results of one load on one server: CPU and age of each delivered update."""

    server: str
    kind: Kind
    jobs: int
    watchers: int
    cpu_us: float
    ages_ms: Sequence[float]

    def summary(self) -> dict[str, object]:
        """For the JSON file."""
        return {
            "server": self.server,
            "transport": self.kind,
            "jobs": self.jobs,
            "watchers": self.watchers,
            "server_cpu_us_per_update": round(self.cpu_us, 1),
            "publish_to_client_p50_ms": round(percentile(self.ages_ms, 0.5), 1),
            "publish_to_client_p99_ms": round(percentile(self.ages_ms, 0.99), 1),
        }


def measure() -> dict[str, object]:
    """Measure and print; returns the values for the JSON file."""
    attempts = Attempts()
    say("1 job, 1,000 watchers, 5 updates a second")
    rows = _measure_servers(
        attempts,
        {
            "ProgRock": _measure_progrock,
            "naive": _measure_naive,
            "nchan": _measure_nchan,
        },
    )
    say("100 jobs, 10 watchers of all of them, 5 updates a second")
    many_jobs = partial(_measure_progrock, jobs=100, watchers=10)
    rows += _measure_servers(attempts, {"ProgRock, 100 jobs": many_jobs})
    idle = {
        kind: attempts.run(f"{IDLE_STREAMS} idle streams, {kind}", _measure_idle, kind)
        for kind in KINDS
    }
    return {
        "fanout": [row.summary() for row in rows],
        "idle": idle,
        "not_measured": attempts.failed,
    }


def _measure_servers(
    attempts: Attempts, servers: dict[str, Callable[[Kind], Fanout | None]]
) -> list[Fanout]:
    """Measure each server with each transport; a row that failed is left out."""
    rows = []
    for kind in KINDS:
        for server, run in servers.items():
            if row := attempts.run(f"{server}, {kind}", run, kind):
                rows.append(row)
                _say_row(row)
    return rows


def _say_row(row: Fanout) -> None:
    figures = row.summary()
    say(
        f"{row.server:10} {row.kind:7} {row.cpu_us:6.1f} µs/update  "
        f"publish to client p50 {figures['publish_to_client_p50_ms']:6} "
        f"p99 {figures['publish_to_client_p99_ms']:6} ms"
    )


def _measure_progrock(kind: Kind, jobs: int = 1, watchers: int = 1000) -> Fanout:
    with embedded() as server, _web(server) as (stack, web):

        async def run() -> Fanout:
            async with _jobs(server, jobs) as (names, publish):
                address = _address(stack.port, kind, names)
                fanout = await _measure_fan_out(address, watchers, publish, web)
            return Fanout("ProgRock", kind, jobs, watchers, *fanout)

        return uvloop.run(run())


def _measure_naive(kind: Kind) -> Fanout:
    with embedded() as server, Stack(server.url) as stack:
        process = stack.start([sys.executable, "-m", "bench.naive"])
        wait_for(lambda: answers(f"{stack.url}/health/ready"), process)

        async def run() -> Fanout:
            payload = _Payload()
            async with Redis.from_url(server.url) as redis:

                async def publish() -> None:
                    await redis.publish(naive.CHANNEL, payload.next())

                # The streams cannot read compressed frames. Without deflate, the naive
                # server is spared the work of compressing for each of them.
                address = Address(stack.port, f"/{kind}", kind, offers_deflate=False)
                fanout = await _measure_fan_out(address, 1000, publish, process)
            return Fanout("naive", kind, 1, 1000, *fanout)

        return uvloop.run(run())


def _measure_nchan(kind: Kind) -> Fanout | None:
    if not nchan.is_installed():
        return None
    with tempfile.TemporaryDirectory() as folder, Stack("") as stack:
        process = stack.start(nchan.configure(stack.port, Path(folder)))
        wait_for(lambda: answers(f"{stack.url}/health/ready"), process)

        async def run() -> Fanout:
            payload = _Payload()
            async with aiohttp.ClientSession(stack.url) as session:

                async def publish() -> None:
                    async with session.post("/publish", data=payload.next()):
                        pass

                await publish()  # an event stream's headers come with its first event
                address = Address(stack.port, "/feed", kind)
                fanout = await _measure_fan_out(address, 1000, publish, process)
            return Fanout("nchan", kind, 1, 1000, *fanout)

        return uvloop.run(run())


async def _measure_fan_out(
    address: Address, watchers: int, publish: Publish, process: Process
) -> tuple[float, list[float]]:
    """The server's CPU in µs for each update that arrived, and their ages, sorted."""
    arrivals, usage = Arrivals(), Usage()
    streams = await connect(address, watchers, arrivals)
    await _publish_for(SETTLE_S, publish)
    with meter({"server": process.pid}, usage):
        arrivals.counting = True
        await _publish_for(COUNT_S, publish)
        arrivals.counting = False
    close(streams)
    if not arrivals.ages_ms:
        raise RuntimeError("No update arrived.")
    cpu_us = usage.cpu_s["server"] / len(arrivals.ages_ms) * 1e6
    return cpu_us, sorted(arrivals.ages_ms)


async def _publish_for(seconds: float, publish: Publish) -> None:
    """Publish on a grid, and give the last update time to arrive."""
    start = time.perf_counter()
    for number in range(int(seconds * UPDATES_A_SECOND)):
        await asyncio.sleep(
            max(0, start + number / UPDATES_A_SECOND - time.perf_counter())
        )
        await publish()
    await asyncio.sleep(1 / UPDATES_A_SECOND)


def _measure_idle(kind: Kind) -> dict[str, float]:
    """Open streams that get no updates: their memory, and how fast they open."""
    with embedded() as server, _web(server) as (stack, web):

        async def run() -> dict[str, float]:
            async with _jobs(server, 1) as (names, _):
                address = _address(stack.port, kind, names)
                close(await connect(address, 100, Arrivals()))  # warms up the server
                await asyncio.sleep(SETTLE_S)
                before, started = _rss(web), time.perf_counter()
                streams = await connect(address, IDLE_STREAMS, Arrivals())
                took_s = time.perf_counter() - started
                await asyncio.sleep(SETTLE_S)
                kilobytes = (_rss(web) - before) / IDLE_STREAMS / 1000
                close(streams)
            return {
                "kilobytes_per_stream": round(kilobytes, 1),
                "connects_per_second": round(IDLE_STREAMS / took_s),
            }

        figures = uvloop.run(run())
    say(
        f"{IDLE_STREAMS} idle streams, {kind}: {figures['kilobytes_per_stream']} KB "
        f"each, {figures['connects_per_second']} connects/s"
    )
    return figures


def _rss(process: Process) -> int:
    return psutil.Process(process.pid).memory_info().rss


@contextmanager
def _web(server: Server) -> Iterator[tuple[Stack, Process]]:
    """The web process alone: no worker polls, so only the benchmark publishes."""
    with Stack(server.url, PROGROCK_API_TOKENS=f"bench:{TOKEN}") as stack:
        web = stack.start(WEB)
        wait_for(lambda: answers(f"{stack.url}/health/ready"), web)
        yield stack, web


@asynccontextmanager
async def _jobs(server: Server, count: int) -> AsyncIterator[tuple[list[str], Publish]]:
    """Running jobs, and a function that publishes the next revision of all of them."""
    store = Store(connect_redis(server.url), job_ttl_s=60, poll_interval_ms=200)
    jobs = [_job(number) for number in range(count)]
    for job in jobs:
        await store.create(job, owner=OWNER, max_active=0, lane_size=1000)

    async def publish() -> None:
        changes = [Change(job, replace(job, message=stamp()).revised()) for job in jobs]
        await store.advance(changes)
        jobs[:] = [change.job for change in changes]

    try:
        yield [job.job for job in jobs], publish
    finally:
        await store.close()


def _job(number: int) -> Job:
    now = timestamp(now_ms())
    return Job(
        job=f"a-job-of-the-bench-{number:03}",
        backend="counter",
        status=Status.RUNNING,
        can=("cancel",),
        params={"total": 1000, "seconds": 200},
        created_at=now,
        changed_at=now,
    )


class _Payload:
    """The same bytes as ProgRock sends, for servers that only pass them on."""

    def __init__(self) -> None:
        self._job = _job(0)

    def next(self) -> bytes:
        self._job = replace(self._job, message=stamp()).revised()
        return msgspec.json.encode(self._job)


def _address(port: int, kind: Kind, jobs: Sequence[str]) -> Address:
    if kind == "events":
        query = "&".join(f"job={job}" for job in jobs)
        return Address(port, f"/events?{query}", kind, HEADERS)
    frames = [f'{{"action":"watch","job":"{job}"}}' for job in jobs]
    return Address(port, "/prog/?batch=1", kind, HEADERS, frames)
