"""The single measurements: each starts the processes it needs and returns figures."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import aiohttp
import httpx
import redis
import uvloop

from dev.processes import (
    BIN,
    DEMO,
    Stack,
    answers,
    running,
    wait_for,
    worker as worker_command,
)
from dev.redis import embedded

from .meters import Usage, meter
from .watch import Load, Record, watch

QUIET = {"PROGROCK_LIMITS": "off", "DEMO_ACCESS_LOG": "off"}
SETTLE_S = 3
COUNT_S = 15
COUNT_ONE_S = 25  # one job alone makes 125 updates in it
BASELINE_COUNTER = {"total": 1_000_000, "seconds": 3000}


@dataclass(frozen=True, slots=True)
class Figures:
    """The results of one load: gaps in ms, CPU in µs of the worker for each poll."""

    name: str
    jobs: int
    workers: int
    gaps_ms: list[float]
    cpu_us: float
    cores: dict[str, float]

    @property
    def p50(self) -> float:
        return percentile(self.gaps_ms, 0.5)

    @property
    def p99(self) -> float:
        return percentile(self.gaps_ms, 0.99)

    def summary(self) -> dict[str, object]:
        """For the JSON file."""
        return {
            "name": self.name,
            "jobs": self.jobs,
            "worker_processes": self.workers,
            "gap_p50_ms": round(self.p50, 1),
            "gap_p99_ms": round(self.p99, 1),
            "worker_cpu_us_per_poll": round(self.cpu_us),
            "percent_of_a_core": {n: round(s, 1) for n, s in self.cores.items()},
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the sorted values that a share (0 to 1) of them do not exceed."""
    return values[min(len(values) - 1, int(len(values) * share))]


def measure_progrock(load: Load, workers: int = 1, count_s: float = COUNT_S) -> Figures:
    """Watch every job; web, worker, Redis, demo and watchers are on this machine.

    Raises TimeoutError if the jobs do not all start, or if none is updated twice.
    """
    with embedded() as server, running(server.url, workers, **QUIET) as stack:
        usage = Usage()
        pids = {
            "worker": stack.worker.pid,
            "web": stack.web.pid,
            "redis": server.pid,
            "demo": stack.demo.pid,
        }
        record = uvloop.run(
            watch(
                load,
                stack.socket_url,
                settle_s=SETTLE_S,
                count_s=COUNT_ONE_S if load.jobs == 1 else count_s,
                meter=meter(pids, usage),
            )
        )
    return _figures(f"ProgRock, {load.backend}", load.jobs, workers, record, usage)


def measure_stock(jobs: int) -> Figures:
    """Have stock Dramatiq poll so many counters, and listen to its Redis channel."""
    with embedded() as server, Stack(server.url, **QUIET) as stack:
        demo = stack.start(DEMO)
        wait_for(lambda: answers(f"{stack.demo_url}/health"), demo)
        command = [str(BIN / "dramatiq"), "bench.baseline", "-p", "1", "-t", "8"]
        worker = stack.start(command)
        wait_for(lambda: "ready for action" in worker.log(), worker)
        names = _counters(stack.demo_url, jobs)
        stack.start([sys.executable, "-m", "bench.enqueue", *names]).wait(60)
        usage = Usage()
        pids = {"worker": worker.pid, "redis": server.pid, "demo": demo.pid}
        record = _listen(server.url, meter(pids, usage))
    return _figures("stock Dramatiq, a message a job", jobs, 1, record, usage)


def measure_idle_percent() -> float:
    """Percent of a core that a worker process takes with nothing to do."""
    with embedded() as server, Stack(server.url) as stack:
        worker = stack.start(worker_command())
        wait_for(lambda: "ready for action" in worker.log(), worker)
        time.sleep(SETTLE_S)
        usage = Usage()
        with meter({"worker": worker.pid}, usage):
            time.sleep(COUNT_S)
        return round(usage.share("worker"), 2)


def measure_first_frame_ms(times: int = 50) -> float:
    """From POST to the stream's first snapshot, on an idle system; the median."""
    with embedded() as server, running(server.url, 1, **QUIET) as stack:
        found = uvloop.run(_measure_first_frames(stack.url, times))
        return round(percentile(sorted(found), 0.5), 1)


async def _measure_first_frames(url: str, times: int) -> list[float]:
    found = []
    order = {"backend": "counter", "params": {"seconds": 1}}
    async with aiohttp.ClientSession(
        url, cookie_jar=aiohttp.CookieJar(unsafe=True)
    ) as session:
        for _ in range(times):
            started = time.perf_counter()
            async with session.post("/jobs", json=order) as answer:
                job = (await answer.json())["job"]
            async with session.get("/events", params={"job": job}) as events:
                async for line in events.content:
                    if line.startswith(b"data:"):
                        break
            found.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(0.1)
    return found


def _figures(
    name: str, jobs: int, workers: int, record: Record, usage: Usage
) -> Figures:
    gaps_ms = record.gaps_ms()
    if not gaps_ms:
        raise TimeoutError("No job was updated twice.")
    return Figures(
        name,
        jobs,
        workers,
        gaps_ms,
        usage.cpu_s["worker"] / record.updates() * 1e6,
        {name: usage.share(name) for name in usage.cpu_s},
    )


def _counters(url: str, number: int) -> list[str]:
    with httpx.Client(base_url=url, trust_env=False) as client:
        return [
            client.post("/counters", json=BASELINE_COUNTER).headers["Location"]
            for _ in range(number)
        ]


def _listen(url: str, measuring: AbstractContextManager[None]) -> Record:
    record = Record()
    with redis.Redis.from_url(url) as client, client.pubsub() as pubsub:
        pubsub.subscribe("baseline")
        _note(pubsub, record, SETTLE_S)
        record.counting = True
        with measuring:
            _note(pubsub, record, COUNT_S)
    return record


def _note(pubsub: redis.client.PubSub, record: Record, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        message = pubsub.get_message(timeout=left)
        if message and message["type"] == "message" and record.counting:
            job = message["data"].partition(b" ")[0].decode()
            record.arrivals[job].append(time.perf_counter())
