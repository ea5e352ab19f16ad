"""A web process that stops: everybody is told, comes back and misses nothing."""

from __future__ import annotations

import asyncio
import collections
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dev.processes import wait_for

from .support import jobs, proxies, readers
from .support.jobs import ALICE
from .support.returning import OverEvents, OverSocket, Returning, many
from .support.site import Site, Web, site

KINDS = [OverSocket, OverEvents]


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as here:
        yield here


async def have_all_seen(watchers: list[Returning]) -> None:
    async with asyncio.timeout(60):
        while not all(watcher.revisions for watcher in watchers):
            await asyncio.sleep(0.05)


async def not_ready(web: Web) -> float:
    """Return when the process says that it is not ready."""
    async with httpx.AsyncClient(base_url=web.url, trust_env=False) as client:
        while (await client.get("/health/ready")).status_code != 503:
            await asyncio.sleep(0.02)
        refused = await client.get("/events?job=any", headers=ALICE)
        assert refused.status_code == 503
        return time.monotonic()


@pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
async def test_two_thousand_streams_are_told_and_the_process_ends_in_time(
    here: Site, group: bool
) -> None:
    web, job = await here.serve(), await jobs.add(here.store)
    async with many(KINDS, 1000, web.url, job.job) as (watchers, session):
        visits = [asyncio.create_task(each.visit(session)) for each in watchers]
        await have_all_seen(watchers)
        noticing = asyncio.create_task(not_ready(web))
        told_at = time.monotonic()
        if group:
            web.process.signal_group(signal.SIGTERM)
        else:
            web.process.popen.terminate()

        assert await asyncio.to_thread(web.process.wait) == 0
        took_s = time.monotonic() - told_at
        await asyncio.gather(*visits)

    assert took_s < 5
    assert await noticing < min(each.left_at_s or 0 for each in watchers)
    assert {each.close_code for each in watchers if isinstance(each, OverSocket)} == {
        1012
    }
    pauses_ms = [each.told_to_leave_ms or 0 for each in watchers]
    assert 1000 <= min(pauses_ms) < 1100
    assert 2900 < max(pauses_ms) <= 3000


async def test_a_stalled_reader_holds_the_end_up_for_no_longer_than_the_drain_may_take(
    here: Site,
) -> None:
    web = await here.serve(PROGROCK_DRAIN_S="3")
    job = await jobs.add(here.store, params={"long": "x" * 4000})
    with (
        readers.events(web, job.job) as stalled,
        readers.watching(web, job.job) as other,
    ):
        for progress in range(100):
            job = await jobs.run(here.store, job, progress)
            await asyncio.sleep(0.005)  # else it would only be shown the newest
        assert {each.getsockname()[1] for each in (stalled, other)} <= web.peers()
        told_at = time.monotonic()
        web.process.popen.terminate()

        assert await asyncio.to_thread(web.process.wait) == 0
        assert time.monotonic() - told_at < 3.5


async def test_half_a_request_holds_nobody_up(here: Site) -> None:
    web = await here.serve()
    with socket.create_connection(("127.0.0.1", web.port)) as client:
        client.sendall(
            b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        await asyncio.to_thread(wait_for, lambda: bool(web.peers()))
        told_at = time.monotonic()
        web.process.popen.terminate()

        assert await asyncio.to_thread(web.process.wait) == 0
    assert time.monotonic() - told_at < 5
    assert "Traceback" not in web.process.log()


async def test_a_rolling_restart_loses_nobody_and_spreads_their_return(
    here: Site, tmp_path: Path
) -> None:
    job = await jobs.add(here.store)
    webs = [await here.serve(), await here.serve()]
    ports = [web.port for web in webs]
    with proxies.haproxy(tmp_path, ports, {}) as url:
        async with (
            many(KINDS, 250, url, job.job) as (watchers, session),
            asyncio.TaskGroup() as tasks,
        ):
            for each in watchers:
                tasks.create_task(each.stay(session))
            await have_all_seen(watchers)
            async with here.moving(job):
                for web in webs:
                    web.process.popen.terminate()
                    assert await asyncio.to_thread(web.process.wait) == 0
                    await here.serve(web.port)
                    await _all_are_back(watchers)

    assert all(each.finished for each in watchers)
    away_s = sorted(away for each in watchers for away in each.away_s)
    assert len(away_s) >= 500
    assert away_s[-1] < 5
    tenths = collections.Counter(
        round(at, 1) for each in watchers for at in each.back_at_s
    )
    assert max(tenths.values()) < len(away_s) / 4, sorted(tenths.items())


async def _all_are_back(watchers: list[Returning]) -> None:
    await asyncio.to_thread(
        wait_for, lambda: all(each.left_at_s is None for each in watchers)
    )
