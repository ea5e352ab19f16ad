"""Thousands come and go in every manner, and leave nothing behind."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from contextlib import closing

import psutil
import redis

from actors import Job
from dev.processes import wait_for
from web.streams.hub import ATTEND_S

from .support import jobs, readers
from .support.site import Site, Web, site

WARM_UP = 600
VISITS = 3000
MAX_LEFT_BYTES = 8 * 1024 * 1024  # a stream that is kept has at least 10 KiB
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets the connection


async def test_thousands_who_come_and_go_leave_nothing() -> None:
    async with site() as here:
        web, job = await here.serve(), await jobs.add(here.store)
        await asyncio.to_thread(come_and_go, web, job, WARM_UP)
        await asyncio.to_thread(wait_for, lambda: not web.peers())
        before = counts(here, web)
        memory = web.memory()

        await asyncio.to_thread(come_and_go, web, job, VISITS)

        await asyncio.to_thread(wait_for, lambda: counts(here, web) == before)
        assert web.memory() - memory < MAX_LEFT_BYTES
        await nobody_watches(here, job)


async def test_whoever_closes_an_idle_connection_is_let_go_at_once() -> None:
    """It is not kept for as long as a proxy may keep one, which is 95 s."""
    async with site() as here:
        web = await here.serve()  # which has answered a client that then left

        await asyncio.to_thread(wait_for, lambda: not web.peers(), timeout_s=5)


def come_and_go(web: Web, job: Job, times: int) -> None:
    """Open streams of each kind and leave them, politely or not."""
    kinds = (readers.events, readers.watching, readers.waiting, readers.hasty)
    manners = (politely, rudely)
    for kind, leave, _ in zip(
        itertools.cycle(kinds),
        itertools.cycle(manners),
        range(times),
        strict=False,
    ):
        with closing(kind(web, job.job)) as reader:
            if kind is not readers.waiting:
                reader.recv(1)
            leave(reader)


def politely(reader: socket.socket) -> None:
    reader.shutdown(socket.SHUT_WR)


def rudely(reader: socket.socket) -> None:
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def counts(here: Site, web: Web) -> tuple[int, int, int]:
    """The connected clients, the listeners at Redis, and all other open files.

    How many connections to Redis there are depends on how many calls once met.
    """
    with redis.Redis.from_url(here.redis.url) as client:
        listeners = len(client.client_list(_type="pubsub"))
    process = psutil.Process(web.process.pid)
    to_redis = len(process.net_connections("unix"))
    return len(web.peers()), listeners, process.num_fds() - to_redis


async def nobody_watches(here: Site, job: Job) -> None:
    """The workers are told of a job again and again while somebody watches it."""
    key = f"progrock:2:job:{job.job}"
    with redis.Redis.from_url(here.redis.url) as client:
        until = client.hget(key, "watched_until")
        await asyncio.sleep(1.5 * ATTEND_S)
        assert client.hget(key, "watched_until") == until
