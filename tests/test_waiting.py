"""The long poll: it answers when there is something newer, and never keeps a secret."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import pytest
from quart import Quart
from quart.testing import QuartClient as _Client

from actors.store import Store

from .support import jobs
from .support.jobs import ALICE, BOB


def asked(client: _Client, job: str, query: str, **headers: str) -> Awaitable[Any]:
    path = f"/jobs/{job}?{query}"
    return asyncio.wait_for(client.get(path, headers={**ALICE, **headers}), 10)


async def watched(app: Quart, job: str) -> None:
    """Return as soon as somebody waits for the job, and has read the present."""
    feed = app.extensions["hub"]
    async with asyncio.timeout(5):
        while not any(each.follows.get(job) for each in feed.subscribers_of(job)):
            await asyncio.sleep(0.005)


async def test_what_is_newer_already_is_told_at_once(
    client: _Client, store: Store
) -> None:
    job = await jobs.run(store, await jobs.add(store), 41.5)

    started = time.monotonic()
    response = await asked(client, job.job, "after=1&wait=25")

    assert time.monotonic() - started < 2
    assert response.status_code == 200
    assert response.headers["ETag"] == '"2"'
    assert (await response.get_json())["progress"] == 41.5


async def test_the_next_change_is_told_as_soon_as_it_comes(
    app: Quart, client: _Client, store: Store
) -> None:
    job = await jobs.add(store)
    waiting = asyncio.create_task(asked(client, job.job, "after=1&wait=25"))
    await watched(app, job.job)
    assert not waiting.done()

    await jobs.run(store, job, 12.5)

    response = await waiting
    assert response.headers["ETag"] == '"2"'
    assert (await response.get_json())["progress"] == 12.5
    assert app.extensions["hub"].open_streams == 0


@pytest.mark.parametrize("after", [1, 99])
async def test_without_a_change_the_present_is_told_when_the_wait_is_over(
    client: _Client, store: Store, after: int
) -> None:
    job = await jobs.add(store)

    started = time.monotonic()
    response = await asked(client, job.job, f"after={after}&wait=0.5")

    assert 0.5 <= time.monotonic() - started < 2
    assert (await response.get_json())["revision"] == 1


async def test_who_has_the_present_by_its_etag_is_not_sent_it_again(
    client: _Client, store: Store
) -> None:
    job = await jobs.add(store)

    has_it = {"If-None-Match": '"1"'}
    response = await asked(client, job.job, "after=1&wait=0.1", **has_it)

    assert response.status_code == 304
    assert await response.get_data() == b""


async def test_nobody_waits_for_a_job_that_has_ended(
    client: _Client, store: Store
) -> None:
    job = await jobs.end(store, await jobs.add(store))

    for after in (1, 2, 99):
        started = time.monotonic()
        response = await asked(client, job.job, f"after={after}&wait=25")

        assert time.monotonic() - started < 2
        assert (await response.get_json())["finished"] is True


@pytest.mark.parametrize(
    "query", ["wait=0", "after=1", "after=1&wait=0", "after=&wait="]
)
async def test_without_a_wait_the_present_is_told_at_once(
    client: _Client, store: Store, query: str
) -> None:
    job = await jobs.add(store)

    response = await asked(client, job.job, query)

    assert (await response.get_json())["revision"] == 1


async def test_a_wait_ends_at_a_drain(
    app: Quart, client: _Client, store: Store
) -> None:
    job = await jobs.add(store)
    waiting = asyncio.create_task(asked(client, job.job, "after=1&wait=25"))
    await watched(app, job.job)

    async with asyncio.timeout(2):
        await app.extensions["hub"].drain(5)

    assert (await (await waiting).get_json())["revision"] == 1


async def test_whoever_goes_away_leaves_nothing(
    app: Quart, client: _Client, store: Store
) -> None:
    job = await jobs.add(store)
    path = f"/jobs/{job.job}?after=1&wait=25"
    async with client.request(path, headers=ALICE) as connection:
        await connection.send_complete()
        await watched(app, job.job)

        await connection.disconnect()

    feed = app.extensions["hub"]
    assert not feed.subscribers_of(job.job)
    assert feed.open_streams == 0


async def test_nobody_else_may_wait_for_it(client: _Client, store: Store) -> None:
    job = await jobs.add(store)

    response = await asked(client, job.job, "after=1&wait=25", **BOB)

    assert response.status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        *(f"after={text}&wait=1" for text in ("-1", "one", "1.5", "1_0", "9" * 5000)),
        *(f"wait={text}" for text in ("-1", "25.1", "long", "nan", "inf", "1e999")),
        "after=nonsense",
    ],
)
async def test_a_wait_that_makes_no_sense_is_refused(
    client: _Client, store: Store, query: str
) -> None:
    job = await jobs.add(store)

    response = await asked(client, job.job, query)

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
