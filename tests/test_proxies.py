"""Through a real nginx and a real HAProxy, with the configurations from docs/."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import websockets

from .support import jobs, proxies
from .support.readers import Watcher
from .support.returning import OverEvents, OverSocket, Returning, many
from .support.site import BEAT_S, Site, Web, site

Proxy = Callable[..., AbstractContextManager[str]]

BOTH = pytest.mark.parametrize("proxy", [proxies.nginx, proxies.haproxy])


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as here:
        yield here


@pytest.fixture
async def web(here: Site) -> Web:
    return await here.serve()


def behind(url: str) -> Web:
    """The same process, at the proxy's address."""
    return Web(int(url.rpartition(":")[2]), None)  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize("follow", [Watcher.watch, Watcher.follow])
async def test_each_update_arrives_by_itself_and_at_once(
    here: Site, web: Web, tmp_path: Path, proxy: Proxy, follow: Callable[..., object]
) -> None:
    job = await jobs.add(here.store)
    watcher = Watcher()
    with proxy(tmp_path, [web.port], {}) as url:
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
            tasks.create_task(follow(watcher, behind(url), job.job))
            await watcher.has_heard(1)
            for progress in range(10, 20):
                job = await jobs.run(here.store, job, progress)
                async with asyncio.timeout(BEAT_S):
                    await watcher.has_heard(job.revision)
            await jobs.end(here.store, job)

    assert [each["revision"] for each in watcher.told] == [*range(1, 13)]


async def test_where_upgrades_are_blocked_the_events_come_through(
    here: Site, web: Web, tmp_path: Path
) -> None:
    job = await jobs.end(here.store, await jobs.add(here.store))
    watcher = Watcher()
    with proxies.nginx(tmp_path, [web.port], {proxies.UPGRADE: ""}) as url:
        with pytest.raises(websockets.InvalidHandshake):
            await watcher.watch(behind(url), job.job)

        await watcher.follow(behind(url), job.job)

    assert watcher.saw_the_end


async def test_only_websockets_may_be_upgraded(web: Web, tmp_path: Path) -> None:
    """Else anybody could speak HTTP/2 past the proxy's rules (h2c smuggling)."""
    with proxies.nginx(tmp_path, [web.port], {}) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", behind(url).port)
        writer.write(
            b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        )
        answer = await reader.readline()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200")


@BOTH
async def test_whoever_is_cut_off_for_silence_comes_back_where_it_was(
    here: Site, web: Web, tmp_path: Path, proxy: Proxy
) -> None:
    job = await jobs.run(here.store, await jobs.add(here.store), 10)
    with proxy(tmp_path, [web.port], {proxies.PATIENCE: "5s"}) as url:
        async with (
            many([OverSocket, OverEvents], 5, url, job.job) as (watchers, session),
            asyncio.TaskGroup() as tasks,
            asyncio.timeout(20),
        ):
            for each in watchers:
                tasks.create_task(each.stay(session))
            while not all(_has_come_back(each) for each in watchers):
                await asyncio.sleep(0.05)
            job = await jobs.run(here.store, job, 20)
            await jobs.end(here.store, job)

    for each in watchers:
        assert each.revisions in ([2, 3, 4], [2, 4])
        assert each.finished


def _has_come_back(watcher: Returning) -> bool:
    return watcher.visits >= 2 and watcher.left_at_s is None
