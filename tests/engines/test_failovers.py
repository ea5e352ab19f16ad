"""Jobs go on while Redis fails over: behind Sentinels, and in a Cluster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import pytest
from redis.crc import key_slot

from actors.store.tags import tag_of
from dev.processes import Stack, running
from dev.redis import embedded
from tests.support.watching import TOKENS, Watching

from .servers import Cluster, Node, Sentinels, cluster, sentinels

if "ENGINES" not in os.environ:
    pytest.skip("`make test-engines` runs these.", allow_module_level=True)

SPREAD = {
    "PROGROCK_API_TOKENS": TOKENS,
    "PROGROCK_WIDE_OWNERS": "cook",
    "PROGROCK_LIMITS": "off",
}
JOBS, SECONDS = 24, 12
BACK_WITHIN_S = 3  # of the promotion

Fault = Callable[[Watching], Awaitable[float]]


async def survived(stack: Stack, fault: Fault) -> float:
    """Have a fault happen to watched jobs; returns how late they were told of again.

    The fault returns when Redis was whole again.
    """
    watching = Watching(stack)
    await watching.start(JOBS, SECONDS)
    watch = asyncio.create_task(watching.watch())
    await watching.goes_on(monotonic())
    whole_at = await fault(watching)
    await watch
    watching.assert_well_told()
    return watching.moved_after(whole_at)


async def promoted(node: Node) -> float:
    """Wait until a replica is master; returns when it was."""
    async with asyncio.timeout(15):
        while not node.answers() or node.role() != "master":
            await asyncio.sleep(0.05)
    return monotonic()


@contextmanager
def behind_sentinels() -> Iterator[tuple[Sentinels, Stack]]:
    with sentinels() as redis, running(redis.url, 2, **SPREAD) as stack:
        yield redis, stack


async def test_a_master_that_is_killed_is_replaced() -> None:
    with behind_sentinels() as (redis, stack):

        async def fault(_: Watching) -> float:
            redis.master.kill()
            return await promoted(redis.replica)

        assert await survived(stack, fault) < BACK_WITHIN_S


async def test_a_master_that_hangs_is_replaced_and_comes_back() -> None:
    with behind_sentinels() as (redis, stack):

        async def fault(watching: Watching) -> float:
            redis.master.pause()
            whole_at = await promoted(redis.replica)
            await watching.goes_on(whole_at)
            redis.master.resume()
            return whole_at

        assert await survived(stack, fault) < BACK_WITHIN_S


async def test_a_planned_failover_is_followed() -> None:
    with behind_sentinels() as (redis, stack):

        async def fault(_: Watching) -> float:
            redis.fail_over()
            return await promoted(redis.replica)

        assert await survived(stack, fault) < BACK_WITHIN_S


@contextmanager
def in_a_cluster() -> Iterator[tuple[Cluster, Stack]]:
    with embedded() as broker, cluster() as redis:
        environ = {"BROKER_URL": broker.url, "PROGROCK_PARTITIONS": "16", **SPREAD}
        with running(redis.url, 2, **environ) as stack:
            yield redis, stack


async def test_a_clusters_master_that_is_killed_is_replaced() -> None:
    with in_a_cluster() as (redis, stack):

        async def fault(_: Watching) -> float:
            master, replica = redis.nodes[0], redis.nodes[3]
            master.kill()
            return await promoted(replica)

        assert await survived(stack, fault) < BACK_WITHIN_S


async def test_slots_are_moved_and_a_node_is_added_under_load() -> None:
    with in_a_cluster() as (redis, stack):

        async def fault(watching: Watching) -> float:
            new = await asyncio.to_thread(redis.join)
            slots = {key_slot(tag_of(job).encode()) for job in watching.jobs}
            for slot in sorted(slots)[::3]:
                await asyncio.to_thread(redis.move_slot, slot, new)
            return monotonic()

        assert await survived(stack, fault) < BACK_WITHIN_S


async def test_jobs_are_started_after_a_failover() -> None:
    """The broker's queues move with the master, too."""
    with behind_sentinels() as (redis, stack):
        watching = Watching(stack)
        await watching.start(2, 1)
        await watching.watch()
        watching.assert_well_told()
        redis.fail_over()
        await promoted(redis.replica)
        again = Watching(stack)
        async with asyncio.timeout(20):
            while not again.jobs:
                try:
                    await again.start(1, 1)
                except AssertionError:
                    await asyncio.sleep(0.2)
        await again.watch()
        again.assert_well_told()
