"""The checks of `progrock doctor`: each says what was found, and how to mend it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.store.keys import Keys

PINGS = 11
ANSWER_S = 3
OLDEST = (6, 2)
SLOW_MS, TOO_SLOW_MS = 20, 100  # a poll every 200 ms needs several round trips
CLOCK_S = 0.25
FULL = 0.8


class State(StrEnum):
    """How a check ended; `unknown` if it could not be made."""

    WELL = "well"
    CARE = "care"
    ILL = "ill"
    UNKNOWN = "unknown"


class Check(NamedTuple):
    """One line of the doctor's."""

    what: str
    state: State
    seen: str


async def redis_checks(title: str, redis: Redis, keys: Keys) -> list[Check]:
    """Look at the Redis of jobs and feed, or of messages."""
    try:
        info: dict[str, Any] = await redis.info()
        measured = [
            Check(f"{title} round trip", *await _round_trip(redis)),
            Check(f"{title} clock", *await _clock(redis)),
            Check(f"{title} rights", *await _rights(redis, keys)),
            Check(f"{title} fsync", *await _fsync(redis, info)),
        ]
    except (RedisError, OSError) as error:
        why = str(error).rstrip(".") or type(error).__name__
        seen = f"It cannot be used: {why}. See its address and its password."
        return [Check(title, State.ILL, seen)]
    told = [Check(f"{title} {what}", state, seen) for what, state, seen in _told(info)]
    return [*told, *measured]


def _told(info: dict[str, Any]) -> Iterator[tuple[str, State, str]]:
    yield "version", *_version(info)
    yield "role", *_role(info)
    yield "eviction", *_eviction(info)
    yield "memory", *_memory(info)
    clients, most = info.get("connected_clients", 0), info.get("maxclients")
    state = State.CARE if most and clients > FULL * most else State.WELL
    yield "connections", state, f"{clients} of {most or 'any number'}."


def _version(info: dict[str, Any]) -> tuple[State, str]:
    name = str(info.get("server_name", "redis")).capitalize()
    version = str(info.get(f"{name.lower()}_version") or info.get("redis_version"))
    parts = str(info.get("redis_version", "0.0")).split(".")
    if tuple(map(int, parts[:2])) < OLDEST:
        return State.ILL, f"{name} {version} is too old; 6.2 is needed."
    return State.WELL, f"{name} {version}."


def _role(info: dict[str, Any]) -> tuple[State, str]:
    role = info.get("role")
    if role == "master":
        return State.WELL, "This is the master."
    return State.ILL, f"This is a {role}, which takes no writes; name the master."


def _eviction(info: dict[str, Any]) -> tuple[State, str]:
    policy = str(info.get("maxmemory_policy", ""))
    if not policy:
        return State.UNKNOWN, "It does not say its maxmemory-policy."
    if policy == "noeviction":
        return State.WELL, "noeviction: no job is deleted for want of memory."
    if policy.startswith("volatile-"):
        said = f"{policy} may delete ended jobs early; set maxmemory-policy noeviction."
        return State.CARE, said
    said = f"{policy} may delete running jobs; set maxmemory-policy noeviction."
    return State.ILL, said


def _memory(info: dict[str, Any]) -> tuple[State, str]:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    megabytes = f"{used / 1e6:.0f} MB"
    if not most:
        return State.WELL, f"{megabytes} in use, without a limit."
    state = State.CARE if used > FULL * most else State.WELL
    return state, f"{megabytes} of {most / 1e6:.0f} MB in use."


async def _round_trip(redis: Redis) -> tuple[State, str]:
    taken = []
    for _ in range(PINGS):
        began = time.perf_counter()
        await redis.ping()
        taken.append((time.perf_counter() - began) * 1000)
    ms = statistics.median(taken)
    said = f"{ms:.1f} ms"
    if ms >= TOO_SLOW_MS:
        return State.ILL, f"{said}: jobs are polled late; bring Redis nearer."
    if ms >= SLOW_MS:
        return State.CARE, f"{said}: updates come later than they need; is it near?"
    return State.WELL, f"{said}."


async def _clock(redis: Redis) -> tuple[State, str]:
    before = time.time()
    seconds, microseconds = await redis.time()
    here = (before + time.time()) / 2
    apart = here - seconds - microseconds / 1e6
    side = "ahead" if apart > 0 else "behind"
    said = f"This machine is {abs(apart) * 1000:.0f} ms {side}"
    if abs(apart) > CLOCK_S:
        return State.CARE, f"{said}: let both keep time by NTP."
    return State.WELL, f"{said}."


async def _rights(redis: Redis, keys: Keys) -> tuple[State, str]:
    """Do once what is done all the time."""
    key = f"{keys.worker}:doctor"
    try:
        await redis.execute_command("EVAL", "return redis.call('TIME')", 1, key)
        await redis.set(key, 1, ex=5)
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe(keys.feed)
            await pubsub.get_message(timeout=ANSWER_S)
    except RedisError as error:
        return State.ILL, f"{error}. Give the user the rights to {keys.feed}, too."
    return State.WELL, "It lets us write, run scripts and listen."


async def _fsync(redis: Redis, info: dict[str, Any]) -> tuple[State, str]:
    if not int(info.get("aof_enabled", 0)):
        said = "appendonly is off: a Redis that is killed loses the jobs since its last"
        return State.CARE, f"{said} save."
    try:
        told: dict[Any, Any] = await redis.config_get("appendfsync")
    except RedisError:
        return State.UNKNOWN, "appendonly is on; it does not say its appendfsync."
    [policy] = told.values() or ["not told"]
    word = policy.decode() if isinstance(policy, bytes) else str(policy)
    state = State.CARE if word == "no" else State.WELL
    return state, f"appendonly is on, appendfsync is {word}."
