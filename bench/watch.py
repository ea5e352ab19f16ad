"""Watchers: they start jobs, follow them over WebSocket and note the frames' times."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import aiohttp
import msgspec

CONNECTING_AT_ONCE = 20
START_S = 120


class Frame(msgspec.Struct):
    """The fields of a frame that a watcher needs."""

    job: str | None = None
    status: str | None = None
    error: dict[str, str] | None = None


Frames: TypeAlias = Frame | list[Frame]
_decode: Callable[[str], Frames] = msgspec.json.Decoder(Frames).decode


@dataclass(frozen=True, slots=True)
class Load:
    """A number of long counters of one backend, spread over a number of sockets."""

    jobs: int
    sockets: int
    backend: str = "counter"

    def orders(self, socket: int) -> int:
        """The number of jobs that a socket starts."""
        return len(range(socket, self.jobs, self.sockets))


@dataclass(slots=True)
class Record:
    """The times at which the frames of each job came, by this process's clock."""

    counting: bool = False
    running: set[str] = field(default_factory=set)
    arrivals: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, frame: Frame) -> None:
        """Note one frame of one job."""
        if frame.error:
            raise RuntimeError(frame.error["message"])
        if frame.job and frame.status == "running":
            self.running.add(frame.job)
            if self.counting:
                self.arrivals[frame.job].append(time.perf_counter())

    def updates(self) -> int:
        """The number of frames that came."""
        return sum(map(len, self.arrivals.values()))

    def gaps_ms(self) -> list[float]:
        """The gaps between the frames of each job, for all jobs, sorted."""
        return sorted(
            (later - earlier) * 1000
            for times in self.arrivals.values()
            for earlier, later in pairwise(times)
        )


async def watch(
    load: Load,
    socket_url: str,
    *,
    settle_s: float,
    count_s: float,
    meter: AbstractContextManager[None],
) -> Record:
    """Put a load on, let it settle, and count for a while inside `meter`.

    Raises TimeoutError if the jobs do not all start.
    """
    record = Record()
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        asyncio.TaskGroup() as sockets,
    ):
        work = _sockets(session, socket_url, load, record)
        tasks = [sockets.create_task(each) for each in work]
        all_run = await _wait_until_all_run(load, record)
        if all_run:
            await asyncio.sleep(settle_s)
            with meter:
                record.counting = True
                await asyncio.sleep(count_s)
                record.counting = False
        for task in tasks:
            task.cancel()
    if not all_run:  # inside the group, TaskGroup would wrap the error
        started = f"{len(record.running)} of {load.jobs}"
        raise TimeoutError(f"Only {started} jobs were running after {START_S} s.")
    return record


async def _wait_until_all_run(load: Load, record: Record) -> bool:
    """Return True as soon as all jobs run, and False if they do not in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while len(record.running) < load.jobs:
                await asyncio.sleep(0.05)
            return True
    return False


def _sockets(
    session: aiohttp.ClientSession, url: str, load: Load, record: Record
) -> list[Coroutine[None, None, None]]:
    connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)
    return [
        _socket(session, url, load, number, record, connecting)
        for number in range(load.sockets)
    ]


async def _socket(
    session: aiohttp.ClientSession,
    url: str,
    load: Load,
    number: int,
    record: Record,
    connecting: asyncio.Semaphore,
) -> None:
    order = {
        "action": "start",
        "backend": load.backend,
        "params": {"total": 1_000_000, "seconds": 3000},
    }
    async with session.ws_connect(f"{url}?batch=1", max_msg_size=0) as socket:
        async with connecting:
            for _ in range(load.orders(number)):
                await socket.send_json(order)
                _note(await socket.receive_str(), record)
        async for message in socket:
            _note(message.data, record)


def _note(text: str, record: Record) -> None:
    frames = _decode(text)
    for frame in frames if isinstance(frames, list) else [frames]:
        record.note(frame)
