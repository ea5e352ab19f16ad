"""A client's messages over the WebSocket, and the answers to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from quart import Quart
from quart.testing import QuartClient as _Client
from quart.testing.connections import (
    WebsocketDisconnectError,
    WebsocketResponseError,
)
from redis.exceptions import RedisError

from actors import Status
from actors.store import Store
from web.owners.jobs import Jobs
from web.streams import websocket

from .conftest import Serving
from .support import jobs
from .support.jobs import ALICE, BOB

COUNTER = {"action": "start", "backend": "counter"}


class Talk:
    """One open socket, patient for some seconds."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def say(self, message: Any) -> None:
        """Send something that may be no JSON at all."""
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        await self._connection.send(text)

    async def hear(self) -> Any:
        async with asyncio.timeout(5):
            return json.loads(await self._connection.receive())

    async def ask(self, message: Any) -> Any:
        await self.say(message)
        return await self.hear()

    async def refused(self, message: Any) -> dict[str, Any]:
        """The error frame that answers; the connection is used once more."""
        answer = await self.ask(message)
        assert answer["error"]["code"]
        assert answer["error"]["message"].endswith(".")
        assert await self.ask({"action": "ping"}) == {"pong": True}
        assert isinstance(answer, dict)
        return answer

    async def hears_nothing(self) -> None:
        """Nothing was to be said: the next that comes answers the next question."""
        assert await self.ask({"action": "ping"}) == {"pong": True}

    async def closed(self) -> int:
        """The code with which the server ends it, whatever it still had to say."""
        async with asyncio.timeout(5):
            while True:
                try:
                    await self._connection.receive()
                except WebsocketDisconnectError as error:
                    code: int = error.args[0]
                    return code


@asynccontextmanager
async def talking(
    client: _Client, path: str = "/prog/", **headers: str
) -> AsyncIterator[Talk]:
    async with client.websocket(path, headers=headers) as connection:
        talk = Talk(connection)
        assert await talk.hear() == {"accept": True}
        yield talk


async def test_whoever_comes_is_accepted_and_answered(client: _Client) -> None:
    async with talking(client) as talk:
        assert await talk.ask({"action": "ping"}) == {"pong": True}


async def test_a_start_is_answered_with_the_snapshot(client: _Client) -> None:
    async with talking(client) as talk:
        job = await talk.ask({**COUNTER, "params": {"total": 7}})

    assert job["status"] == "queued"
    assert job["revision"] == 1
    assert job["backend"] == "counter"
    assert job["params"] == {"total": 7, "seconds": 10}


async def test_the_job_of_2017_is_the_default_one(client: _Client) -> None:
    async with talking(client) as talk:
        job = await talk.ask({"action": "start"})

    assert job["backend"] == "render"
    assert job["progress"] is None
    assert job["complete"] is False


async def test_a_started_job_is_watched(client: _Client, store: Store) -> None:
    async with talking(client, **ALICE) as talk:
        started = await talk.ask(COUNTER)
        job = await store.load(started["job"])
        assert job

        await jobs.run(store, job, 12.5)

        assert (await talk.hear())["progress"] == 12.5


async def test_a_watched_job_is_told_now_and_whenever_it_changes(
    client: _Client, store: Store
) -> None:
    job = await jobs.run(store, await jobs.add(store), 10)
    async with talking(client, **ALICE) as talk:
        assert (await talk.ask({"action": "watch", "job": job.job}))["revision"] == 2
        job = await jobs.run(store, job, 20)
        assert (await talk.hear())["progress"] == 20
        await jobs.end(store, job)

        last = await talk.hear()

    assert last["status"] == "succeeded"
    assert last["complete"] is True


async def test_the_present_revision_is_not_told_again(
    client: _Client, store: Store
) -> None:
    job = await jobs.run(store, await jobs.add(store), 10)
    async with talking(client, **ALICE) as talk:
        await talk.say({"action": "watch", "job": job.job, "after": 2})
        await talk.hears_nothing()

        await jobs.run(store, job, 20)

        assert (await talk.hear())["revision"] == 3


@pytest.mark.parametrize("after", [0, 1, 3, 10**30, -1])
async def test_another_revision_than_the_present_is_answered_with_the_present(
    client: _Client, store: Store, after: int
) -> None:
    job = await jobs.run(store, await jobs.add(store), 10)
    async with talking(client, **ALICE) as talk:
        told = await talk.ask({"action": "watch", "job": job.job, "after": after})

    assert told["revision"] == 2


async def test_what_is_unwatched_is_told_no_more(client: _Client, store: Store) -> None:
    job, other = await jobs.add(store), await jobs.add(store)
    async with talking(client, **ALICE) as talk:
        await talk.ask({"action": "watch", "job": job.job})
        await talk.ask({"action": "watch", "job": other.job})
        await talk.say({"action": "unwatch", "job": job.job})
        await talk.hears_nothing()

        await jobs.run(store, job, 10)
        await jobs.run(store, other, 10)

        assert (await talk.hear())["job"] == other.job


async def test_a_watched_job_is_cancelled(client: _Client) -> None:
    async with talking(client) as talk:
        job = await talk.ask(COUNTER)

        told = await talk.ask({"action": "cancel", "job": job["job"]})

        assert told["status"] == "stopping"
        assert told["revision"] == 2
        await talk.hears_nothing()


async def test_a_job_need_not_be_watched_to_be_cancelled(
    client: _Client, store: Store
) -> None:
    job = await jobs.add(store)
    async with talking(client, **ALICE) as talk:
        told = await talk.ask({"action": "cancel", "job": job.job})
        assert told["status"] == "stopping"
        again = await talk.ask({"action": "cancel", "job": job.job})
        assert again == told


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_a_job_is_paused_and_resumed(
    client: _Client, store: Store, verb: str
) -> None:
    status = Status.PAUSED if verb == "resume" else Status.RUNNING
    able = await jobs.move(store, await jobs.add(store, can=(verb,)), status=status)
    unable = await jobs.move(store, await jobs.add(store), status=status)
    async with talking(client, **ALICE) as talk:
        told = await talk.ask({"action": verb, "job": able.job})
        refused = await talk.refused({"action": verb, "job": unable.job})

    assert told["request"]["action"] == verb
    assert refused["error"]["code"] == f"cannot_{verb}"


async def test_a_cancel_that_comes_too_late_is_answered_with_the_end(
    client: _Client, store: Store
) -> None:
    job = await jobs.end(store, await jobs.add(store))
    async with talking(client, **ALICE) as talk:
        await talk.say({"action": "watch", "job": job.job, "after": job.revision})

        told = await talk.ask({"action": "cancel", "job": job.job})

    assert told["status"] == "succeeded"


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ({"action": "fly"}, "fly"),
        ({"action": ""}, ""),
        ({"action": "start", "backend": "nonsense"}, "start"),
        ({**COUNTER, "params": {"total": 0}}, "start"),
        ({**COUNTER, "params": {"total": {}}}, "start"),
        ({**COUNTER, "params": []}, "start"),
        ({**COUNTER, "backend": 5}, "start"),
        ({"action": "watch", "after": "now"}, "watch"),
        ({"action": "watch"}, "watch"),
        ({"action": "unwatch"}, "unwatch"),
        ({"action": "cancel"}, "cancel"),
        ({"action": "cancel", "job": "unknown"}, "cancel"),
    ],
)
async def test_a_refusal_says_what_was_refused(
    client: _Client, message: dict[str, Any], action: str
) -> None:
    """Also where the shape was wrong: a client that counts on an answer gets one."""
    async with talking(client) as talk:
        answer = await talk.refused({**message, "key": "k1"})

    assert answer["action"] == action
    assert answer["key"] == "k1"
    assert answer.get("job") == message.get("job")


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "nonsense",
        "[" * 60_000,
        '{"action":"start","params":{"total":' + "[" * 60_000,
        b"\x00binary",
        b'{"action":"ping"}',
    ],
)
async def test_what_is_not_json_is_an_error_frame(
    client: _Client, frame: str | bytes
) -> None:
    async with talking(client) as talk:
        answer = await talk.refused(frame)

    assert answer.keys() == {"error", "action"}
    assert answer["action"] == ""


@pytest.mark.parametrize(
    "message", [[], "start", None, 5, {}, {"action": 5}, {"action": None}]
)
async def test_the_wrong_shape_is_an_error_frame(client: _Client, message: Any) -> None:
    async with talking(client) as talk:
        answer = await talk.refused(message)

    assert answer.keys() == {"error", "action"}
    assert answer["action"] == ""


@pytest.mark.parametrize("action", ["watch", "cancel"])
@pytest.mark.parametrize("whose", ["unknown", "somebody else's"])
async def test_what_is_not_yours_does_not_exist(
    client: _Client, store: Store, action: str, whose: str
) -> None:
    job = await jobs.add(store)
    name = "unknown" if whose == "unknown" else job.job
    async with talking(client, **BOB) as talk:
        answer = await talk.refused({"action": action, "job": name})

        assert answer["error"]["code"] == "unknown_job"
        assert answer["job"] == name
        await jobs.run(store, job, 10)
        await talk.hears_nothing()


async def test_over_the_limit_a_start_is_refused(serving: Serving) -> None:
    async with serving(max_active_jobs=1) as app, talking(app.test_client()) as talk:
        await talk.ask(COUNTER)

        answer = await talk.refused({**COUNTER, "key": "second"})

    assert answer["error"]["code"] == "too_many_jobs"
    assert answer["key"] == "second"


async def test_a_job_that_was_started_but_cannot_be_shown_is_named(
    app: Quart, client: _Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RedisError

    store = app.extensions["jobs"].store
    async with talking(client) as talk:
        with monkeypatch.context() as broken:
            broken.setattr(store, "snapshots", fail)
            refused = await talk.refused({**COUNTER, "key": "k1"})

        assert refused["error"]["code"] == "unavailable"
        assert (refused["action"], refused["key"]) == ("start", "k1")
        found = await talk.ask({"action": "watch", "job": refused["job"]})
    assert found["status"] == "queued"


async def test_a_mistake_of_ours_is_an_error_frame_too(
    client: _Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ArithmeticError

    monkeypatch.setattr(Jobs, "start", fail)
    async with talking(client) as talk:
        refused = await talk.refused(COUNTER)

    assert refused["error"]["code"] == "internal"


async def test_a_flood_is_shut_out(client: _Client) -> None:
    async with talking(client) as talk:
        for _ in range(1000):
            await talk.say({"action": "ping"})

        assert await talk.closed() == 1008


async def test_without_limits_much_may_be_said(serving: Serving) -> None:
    async with serving(limits=False) as app, talking(app.test_client()) as talk:
        for _ in range(1000):
            await talk.say({"action": "ping"})
        for _ in range(1000):
            assert await talk.hear() == {"pong": True}


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
async def test_a_foreign_page_is_refused_before_it_is_accepted(
    client: _Client, origin: str
) -> None:
    connection = client.websocket("/prog/", headers={"Origin": origin})
    async with connection:
        with pytest.raises(WebsocketResponseError) as refused:
            await connection.receive()

        assert refused.value.response.status_code == 403
        assert not connection.accepted


async def test_our_own_page_is_accepted(client: _Client) -> None:
    async with talking(client, Origin="http://localhost") as talk:
        await talk.hears_nothing()


async def test_an_allowed_page_is_accepted(serving: Serving) -> None:
    origin = "https://elsewhere.example"
    async with (
        serving(allowed_origins=frozenset([origin])) as app,
        talking(app.test_client(), Origin=origin) as talk,
    ):
        await talk.hears_nothing()


async def test_an_unknown_token_is_refused_before_it_is_accepted(
    client: _Client,
) -> None:
    connection = client.websocket("/prog/", headers={"Authorization": "Bearer x"})
    async with connection:
        with pytest.raises(WebsocketResponseError) as refused:
            await connection.receive()

        assert refused.value.response.status_code == 401
        assert not connection.accepted


async def test_a_visitor_finds_over_http_what_was_started_here(
    client: _Client,
) -> None:
    await client.get("/")
    async with talking(client) as talk:
        job = await talk.ask(COUNTER)

        assert (await client.get(f"/jobs/{job['job']}")).status_code == 200


async def test_jobs_that_change_together_come_as_one_frame_where_that_was_asked(
    client: _Client, store: Store
) -> None:
    watched = [await jobs.add(store) for _ in range(3)]
    async with talking(client, "/prog/?batch=1", **ALICE) as talk:
        for job in watched:
            assert (await talk.ask({"action": "watch", "job": job.job}))["job"]
        changes = [jobs.change(job, progress=50.0) for job in watched]

        await store.advance(changes)

        together = await talk.hear()
    assert isinstance(together, list)
    assert {told["job"] for told in together} == {job.job for job in watched}


async def test_no_frame_of_a_batch_is_larger_than_what_a_client_may_send(
    client: _Client, store: Store
) -> None:
    watched = [await jobs.add(store, params={"x": "x" * 4000}) for _ in range(40)]
    async with talking(client, "/prog/?batch=1", **ALICE) as talk:
        for job in watched:
            await talk.ask({"action": "watch", "job": job.job})

        await store.advance([jobs.change(job, progress=50.0) for job in watched])

        frames = []
        while sum(map(len, frames)) < len(watched):
            frames.append(await talk.hear())
    assert len(frames) == 3
    assert all(len(json.dumps(frame)) < 68 * 1024 for frame in frames)  # with blanks


async def test_jobs_that_change_together_come_one_by_one_else(
    client: _Client, store: Store
) -> None:
    watched = [await jobs.add(store) for _ in range(3)]
    async with talking(client, **ALICE) as talk:
        for job in watched:
            await talk.ask({"action": "watch", "job": job.job})

        await store.advance([jobs.change(job, progress=50.0) for job in watched])

        told = [await talk.hear() for _ in watched]
    assert {job["job"] for job in told} == {job.job for job in watched}


async def test_a_job_that_is_gone_is_told(
    app: Quart, client: _Client, store: Store
) -> None:
    job = await jobs.add(store)
    async with talking(client, **ALICE) as talk:
        await talk.ask({"action": "watch", "job": job.job})
        for subscriber in app.extensions["hub"].subscribers_of(job.job):
            subscriber.lose(job.job)
            subscriber.deliver()

        told = await talk.hear()

    assert told["error"]["code"] == "unknown_job"
    assert (told["action"], told["job"]) == ("watch", job.job)


async def test_whoever_watches_too_much_starts_nothing_in_vain(
    client: _Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MAX_JOBS_PER_SOCKET", 1)
    job = await jobs.add(store)
    async with talking(client, **ALICE) as talk:
        await talk.ask({"action": "watch", "job": job.job})

        answer = await talk.refused(COUNTER)

    assert answer["error"]["code"] == "too_many_watched"
    listed = await (await client.get("/jobs", headers=ALICE)).get_json()
    assert [each["job"] for each in listed["jobs"]] == [job.job]


async def test_two_sockets_on_one_job_are_told_the_same(
    app: Quart, store: Store
) -> None:
    job = await jobs.add(store)
    async with (
        talking(app.test_client(), **ALICE) as one,
        talking(app.test_client(), **ALICE) as other,
    ):
        for talk in (one, other):
            await talk.ask({"action": "watch", "job": job.job})
        for progress in (10.0, 20.0, 30.0):
            job = await jobs.run(store, job, progress)

            assert await one.hear() == await other.hear()


async def test_watching_twice_tells_the_present_again_and_news_once(
    client: _Client, store: Store
) -> None:
    job = await jobs.add(store)
    async with talking(client, **ALICE) as talk:
        first = await talk.ask({"action": "watch", "job": job.job})
        assert await talk.ask({"action": "watch", "job": job.job}) == first

        await jobs.run(store, job, 10)

        assert (await talk.hear())["revision"] == 2
        await talk.hears_nothing()


async def test_an_ended_job_is_left_by_itself(app: Quart, store: Store) -> None:
    """Nobody needs to unwatch it, and it does not count as watched for ever."""
    ended = await jobs.end(store, await jobs.add(store), Status.FAILED)
    async with talking(app.test_client(), **ALICE) as talk:
        for after in (0, ended.revision):
            await talk.say({"action": "watch", "job": ended.job, "after": after})
        assert (await talk.hear())["status"] == "failed"
        await talk.hears_nothing()

        told = await talk.ask({"action": "cancel", "job": ended.job})

        assert told["status"] == "failed"


async def test_a_drain_says_when_to_come_back(app: Quart) -> None:
    async with talking(app.test_client()) as talk:
        drain = asyncio.create_task(app.extensions["hub"].drain(5))

        told = await talk.hear()

        assert 0 <= told["reconnect_in_ms"] <= 3000
        assert await talk.closed() == 1012
        async with asyncio.timeout(2):
            await drain


async def test_whoever_comes_during_a_drain_is_sent_elsewhere(app: Quart) -> None:
    await app.extensions["hub"].drain(0)
    connection = app.test_client().websocket("/prog/")
    async with connection:
        with pytest.raises(WebsocketResponseError) as refused:
            await connection.receive()

        assert refused.value.response.status_code == 503
