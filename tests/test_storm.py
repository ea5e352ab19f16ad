"""Redis throws the hub out ten times a second, and no watcher is the worse for it."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import redis

from .support import jobs
from .support.readers import Watcher
from .support.site import site

STORM_S = 10
EVERY_S = 0.1
MAX_SILENT_S = 2


async def test_no_reader_ends_wrong_or_waits_long_while_the_hub_is_cut_off() -> None:
    watchers = [Watcher() for _ in range(100)]
    async with site() as here:
        web = await here.serve()
        moved = [await jobs.add(here.store) for _ in range(10)]
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(STORM_S + 20):
            for number, watcher in enumerate(watchers):
                read = Watcher.watch if number % 2 else Watcher.follow
                tasks.create_task(read(watcher, web, moved[number % 10].job))
            for watcher in watchers:
                await watcher.has_heard(1)
            async with AsyncExitStack() as stack:
                for job in moved:
                    await stack.enter_async_context(here.moving(job))
                cut_off = await _storm(here.redis.url)

    assert cut_off >= STORM_S  # the hub came back after each time
    assert all(watcher.saw_the_end for watcher in watchers)
    assert max(max(watcher.gaps_s) for watcher in watchers) < MAX_SILENT_S


async def _storm(redis_url: str) -> int:
    """Cut the hub off every 100 ms; returns how often it was there to be."""
    cut_off = 0
    with redis.Redis.from_url(redis_url) as client:
        until = time.monotonic() + STORM_S
        while time.monotonic() < until:
            cut_off += client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(EVERY_S)
    return cut_off
