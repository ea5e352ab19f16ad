"""The SSE stream: its beginning, its end, and that nothing is said twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from quart import Quart
from quart.testing import QuartClient as _Client

from actors.store import Store

from .support import jobs
from .support.jobs import ALICE, BOB

BEGINNING = "retry: 1000\n: welcome\n"


class Stream:
    """One open stream, read event by event."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._text = ""

    @property
    def status(self) -> int:
        return int(self._connection.status_code)

    @property
    def headers(self) -> Any:
        return self._connection.headers

    async def event(self) -> str:
        """The next event with its lines; empty at the end of the stream."""
        async with asyncio.timeout(5):
            while "\n\n" not in self._text:
                piece = await self._connection.receive()
                if piece == b"":
                    return ""
                self._text += piece.decode()
        event, _, self._text = self._text.partition("\n\n")
        return event

    async def snapshot(self) -> dict[str, Any]:
        """The next snapshot, with its id as the contract wants it."""
        fields = dict(line.split(": ", 1) for line in (await self.event()).splitlines())
        told: dict[str, Any] = json.loads(fields["data"])
        assert fields == {
            "id": f"{told['job']}:{told['revision']}",
            "data": fields["data"],
        }
        return told


@asynccontextmanager
async def events(
    client: _Client, *ids: str, query: str = "", **headers: str
) -> AsyncIterator[Stream]:
    path = f"/events?{'&'.join(f'job={job}' for job in ids)}{query}"
    async with client.request(path, headers={**ALICE, **headers}) as connection:
        await connection.send_complete()
        stream = Stream(connection)
        async with asyncio.timeout(5):
            assert await connection.receive() == BEGINNING.encode()
        yield stream
        await connection.disconnect()


async def answer(client: _Client, path: str, **headers: str) -> int:
    async with asyncio.timeout(5):
        return (await client.get(path, headers={**ALICE, **headers})).status_code


async def test_the_first_snapshot_is_the_present(client: _Client, store: Store) -> None:
    job = await jobs.run(store, await jobs.add(store), 41.5)

    async with events(client, job.job) as stream:
        told = await stream.snapshot()

    assert told["progress"] == 41.5
    assert told["revision"] == 2


async def test_proxies_are_told_not_to_keep_it(client: _Client, store: Store) -> None:
    job = await jobs.add(store)

    async with events(client, job.job) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["Cache-Control"] == "no-cache, no-transform"
        assert stream.headers["X-Accel-Buffering"] == "no"


async def test_it_follows_a_job_to_its_end_and_closes(
    client: _Client, store: Store
) -> None:
    job = await jobs.add(store)
    async with events(client, job.job) as stream:
        assert (await stream.snapshot())["status"] == "queued"
        job = await jobs.run(store, job, 50)
        assert (await stream.snapshot())["progress"] == 50
        await jobs.end(store, job)
        assert (await stream.snapshot())["status"] == "succeeded"

        assert (await stream.event()).splitlines() == [
            "id: end",
            "event: end",
            "data: {}",
        ]
        assert await stream.event() == ""


@pytest.mark.parametrize("by", ["header", "query"])
async def test_what_the_client_has_is_not_sent_again(
    client: _Client, store: Store, by: str
) -> None:
    job = await jobs.run(store, await jobs.add(store), 10)
    last = f"{job.job}:{job.revision}"
    headers = {"Last-Event-ID": last} if by == "header" else {}
    query = f"&last_event_id={last}" if by == "query" else ""

    async with events(client, job.job, query=query, **headers) as stream:
        await jobs.run(store, job, 20)

        assert (await stream.snapshot())["progress"] == 20


@pytest.mark.parametrize("last", ["nonsense", "other:2", "{job}:1", "{job}:99", ":"])
async def test_another_last_id_gets_the_present(
    client: _Client, store: Store, last: str
) -> None:
    job = await jobs.run(store, await jobs.add(store), 10)
    given = last.format(job=job.job)

    async with events(client, job.job, **{"Last-Event-ID": given}) as stream:
        assert (await stream.snapshot())["revision"] == 2


async def test_several_jobs_share_a_stream_until_the_last_has_ended(
    client: _Client, store: Store
) -> None:
    first, second = await jobs.add(store), await jobs.add(store)
    async with events(client, first.job, second.job) as stream:
        told = [await stream.snapshot(), await stream.snapshot()]
        assert {each["job"] for each in told} == {first.job, second.job}
        await jobs.end(store, first)
        assert (await stream.snapshot())["job"] == first.job
        await jobs.end(store, second)
        assert (await stream.snapshot())["job"] == second.job

        assert "event: end" in await stream.event()


async def test_an_ended_job_that_the_client_knows_does_not_keep_the_stream_open(
    client: _Client, store: Store
) -> None:
    ended = await jobs.end(store, await jobs.add(store))
    running = await jobs.add(store)
    last = f"{ended.job}:{ended.revision}"

    async with events(
        client, ended.job, running.job, **{"Last-Event-ID": last}
    ) as stream:
        assert (await stream.snapshot())["job"] == running.job
        await jobs.end(store, running)
        assert (await stream.snapshot())["job"] == running.job

        assert "event: end" in await stream.event()


async def test_who_has_seen_the_end_gets_204(client: _Client, store: Store) -> None:
    job = await jobs.end(store, await jobs.add(store))
    path = f"/events?job={job.job}"

    assert await answer(client, path, **{"Last-Event-ID": f"{job.job}:2"}) == 204
    assert await answer(client, path, **{"Last-Event-ID": "end"}) == 204
    assert await answer(client, f"{path}&last_event_id=end") == 204
    assert await answer(client, f"{path}&lastEventId=end") == 204


async def test_of_several_ends_each_is_told_before_the_204(
    client: _Client, store: Store
) -> None:
    first = await jobs.end(store, await jobs.add(store))
    second = await jobs.end(store, await jobs.add(store))
    last = {"Last-Event-ID": f"{first.job}:{first.revision}"}

    async with events(client, first.job, second.job, **last) as stream:
        assert (await stream.snapshot())["job"] == second.job

    path = f"/events?job={first.job}&job={second.job}"
    assert await answer(client, path, **{"Last-Event-ID": "end"}) == 204


async def test_a_job_that_is_gone_is_told(
    client: _Client, store: Store, app: Quart
) -> None:
    job = await jobs.add(store)
    async with events(client, job.job) as stream:
        await stream.snapshot()
        feed = app.extensions["hub"]
        for subscriber in feed.subscribers_of(job.job):
            subscriber.lose(job.job)
            subscriber.deliver()

        assert await stream.event() == f'event: gone\ndata: {{"job":"{job.job}"}}'
        assert "event: end" in await stream.event()


async def test_the_headers_alone_may_be_asked_for(
    client: _Client, store: Store
) -> None:
    """The answer does not wait for the job's end."""
    job = await jobs.add(store)

    async with asyncio.timeout(5):
        response = await client.head(f"/events?job={job.job}", headers=ALICE)

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/event-stream")


async def test_a_drain_says_when_to_come_back(
    client: _Client, store: Store, app: Quart
) -> None:
    job = await jobs.add(store)
    feed = app.extensions["hub"]
    async with events(client, job.job) as stream:
        await stream.snapshot()
        drain = asyncio.create_task(feed.drain(5))

        name, _, pause_ms = (await stream.event()).partition(": ")

        assert name == "retry"
        assert 0 <= int(pause_ms) <= 3000
        assert await stream.event() == ""
        async with asyncio.timeout(2):
            await drain
    assert await answer(client, f"/events?job={job.job}") == 503


async def test_nobody_else_sees_it(client: _Client, store: Store) -> None:
    job = await jobs.add(store)

    assert await answer(client, f"/events?job={job.job}", **BOB) == 404
    assert await answer(client, "/events?job=unknown") == 404
    assert await answer(client, f"/events?job={job.job}&job=unknown") == 404


async def test_it_wants_some_jobs_but_not_too_many(client: _Client) -> None:
    assert await answer(client, "/events") == 400
    many = "&".join(f"job={number}" for number in range(501))
    assert await answer(client, f"/events?{many}") == 400
