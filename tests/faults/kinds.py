"""The faults: each does harm, repairs only the damage that would stay, and returns."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

import psutil
from redis.asyncio import Redis

from actors.store import LEASE_MS

from .house import House
from .proxy import Mood
from .supervisor import Supervised

DOWN_S = 5
BAD_MOOD_S = (2, 5)
PAUSE_S = 3
TWICE_S = 2
SLOW_S = 0.12
ORPHAN_S = 10
REDIS_AWAY_S = (0.1, 5)


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault, and the longest pause in the updates that it may cause."""

    name: str
    inject: Callable[[House], Awaitable[None]]
    max_first_update_ms: int
    max_gap_ms: int | None = None
    max_unwell_s: int = 20


async def kill_a_workers_child(house: House) -> None:
    worker = house.a_worker()
    [child] = worker.children()
    worker.doomed()
    child.kill()


async def kill_a_workers_master(house: House) -> None:
    worker = house.a_worker()
    [child] = worker.children()
    worker.doomed().popen.kill()
    await _expect_end(house, child)


async def stop_a_workers_group(house: House) -> None:
    house.a_worker().doomed().signal_group(signal.SIGTERM)


async def kill_redis(house: House) -> None:
    house.redis.kill()
    await asyncio.sleep(house.rng.uniform(*REDIS_AWAY_S))
    await asyncio.to_thread(house.redis.start)


async def kill_redis_and_its_memory(house: House) -> None:
    house.redis.kill()
    house.redis.forget()
    house.excuses.redis_forgot_at = monotonic()
    await asyncio.to_thread(house.redis.start)


async def pause_redis(house: House) -> None:
    house.redis.pause()
    await asyncio.sleep(PAUSE_S)
    house.redis.resume()


async def cut_every_connection(house: House) -> None:
    await _cut(house, "normal", "pubsub")


async def cut_the_subscriptions(house: House) -> None:
    await _cut(house, "pubsub")


async def deliver_twice(house: House) -> None:
    house.twice.touch()
    await asyncio.sleep(TWICE_S)
    copies = house.twice.stat().st_size
    house.twice.unlink()
    if not copies:
        house.ledger.breach("late", "no message was delivered twice")


async def outlive_a_lease(house: House) -> None:
    """Suspend a worker with polls in hand until their leases have run out."""
    house.proxy.slow_s = SLOW_S
    child = await _child_with_polls_in_hand(house)
    child.suspend()
    await asyncio.sleep(LEASE_MS / 1000 + house.rng.uniform(0.1, 0.8))
    child.resume()
    house.proxy.slow_s = 0


async def take_the_backend_away(house: House) -> None:
    async with house.proxy.troubled():
        await house.proxy.close()
        await asyncio.sleep(DOWN_S)
        await house.proxy.open()


async def have_the_backend_fail(house: House) -> None:
    await _have_backend(house, "failing")


async def have_the_backend_hang(house: House) -> None:
    await _have_backend(house, "hanging")


async def restart_the_backend(house: House) -> None:
    async with house.proxy.troubled():
        await house.proxy.close()
        await house.proxy.open()


async def have_the_backend_forget(house: House) -> None:
    async with house.proxy.troubled():
        house.excuses.backend_forgot_at = monotonic()
        await _kill(house.demo)
        house.excuses.backend_forgot_at = monotonic()


async def kill_the_web(house: House) -> None:
    await _kill(house.web)


async def drain_the_web(house: House) -> None:
    house.web.doomed().popen.terminate()
    await house.web.ready()


async def _kill(supervised: Supervised) -> None:
    supervised.doomed().popen.kill()
    await supervised.ready()


async def _cut(house: House, *types: str) -> None:
    async with Redis.from_url(house.redis.url) as redis:
        for type in types:
            await redis.client_kill_filter(_type=type)


async def _have_backend(house: House, mood: Mood) -> None:
    async with house.proxy.troubled():
        house.proxy.mood = mood
        await asyncio.sleep(house.rng.uniform(*BAD_MOOD_S))
        house.proxy.mood = "good"


async def _child_with_polls_in_hand(house: House) -> psutil.Process:
    children = [child for worker in house.workers for child in worker.children()]
    in_hand = house.proxy.in_hand
    while True:
        for child in children:
            if any(c.laddr.port in in_hand for c in child.net_connections("tcp")):
                return child
        await asyncio.sleep(0.01)


async def _expect_end(house: House, child: psutil.Process) -> None:
    """A worker process that has lost its master must end by itself."""
    with suppress(psutil.NoSuchProcess):
        try:
            await asyncio.to_thread(child.wait, ORPHAN_S)
        except psutil.TimeoutExpired:
            house.ledger.breach("late", f"{child} outlives its master")
            child.kill()


FORGETFUL_REDIS = Fault(
    "Redis forgets all", kill_redis_and_its_memory, 3000, max_unwell_s=10
)
FAULTS = (
    Fault("worker's child killed", kill_a_workers_child, 2000, 2000),
    Fault("worker's master killed", kill_a_workers_master, 2000, 2000),
    Fault("worker's group told to stop", stop_a_workers_group, 2000, 2000),
    Fault("Redis killed, away 0.1 to 5 s", kill_redis, 3000),
    Fault("Redis paused for 3 s", pause_redis, 3000),
    Fault("every connection to Redis cut", cut_every_connection, 2000, 2000),
    Fault("subscriptions cut", cut_the_subscriptions, 2000, 2000),
    Fault("each message delivered twice", deliver_twice, 2000, 2000),
    Fault("a poll outlives its lease", outlive_a_lease, 2000, 3000),
    Fault("backend away for 5 s", take_the_backend_away, 4000),
    Fault("backend answers 500", have_the_backend_fail, 4000),
    Fault("backend hangs", have_the_backend_hang, 8000),
    Fault("backend restarted", restart_the_backend, 3000, 3000),
    Fault("backend forgets its jobs", have_the_backend_forget, 4000),
    Fault("web killed", kill_the_web, 5000),
    Fault("web told to stop", drain_the_web, 5000),
    FORGETFUL_REDIS,
)
