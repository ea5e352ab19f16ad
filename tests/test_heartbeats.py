"""Heartbeats: proxies cut silent streams off."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import websockets

from .support import jobs
from .support.jobs import ALICE
from .support.site import Web, site


async def test_every_stream_says_something_every_20_seconds() -> None:
    async with site() as here:
        web = await here.serve()
        job = await jobs.add(here.store)

        took_s = await asyncio.gather(
            socket_silence_s(web, job.job), events_silence_s(web, job.job)
        )

    assert all(19 <= each <= 22 for each in took_s), took_s


async def socket_silence_s(web: Web, job: str) -> float:
    """From the snapshot to the first heartbeat."""
    async with (
        asyncio.timeout(30),
        websockets.connect(web.socket_url, additional_headers=ALICE) as socket,
    ):
        await socket.recv()
        await socket.send(json.dumps({"action": "watch", "job": job}))
        assert json.loads(await socket.recv())["job"] == job
        begun = time.monotonic()
        assert json.loads(await socket.recv()) == {"heartbeat": True}
        return time.monotonic() - begun


async def events_silence_s(web: Web, job: str) -> float:
    async with (
        asyncio.timeout(30),
        httpx.AsyncClient(base_url=web.url, headers=ALICE, trust_env=False) as client,
        client.stream("GET", f"/events?job={job}", timeout=30) as events,
    ):
        lines = events.aiter_lines()
        while not (await anext(lines)).startswith("data:"):
            pass
        begun = time.monotonic()
        while await anext(lines) != "event: heartbeat":
            pass
        return time.monotonic() - begun
