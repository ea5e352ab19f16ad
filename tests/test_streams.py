"""One truth over all three transports, over real sockets, with others' clients."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from httpx_sse import aconnect_sse

from dev.processes import ROOT, WEB, Stack, answers, wait_for
from dev.redis import free_port

Follow = Callable[[Stack, str, str], AsyncIterator[dict[str, Any]]]


async def over_websocket(
    stack: Stack, job: str, cookie: str
) -> AsyncIterator[dict[str, Any]]:
    async with websockets.connect(
        stack.socket_url, additional_headers={"Cookie": cookie}
    ) as socket:
        assert json.loads(await socket.recv()) == {"accept": True}
        await socket.send(json.dumps({"action": "watch", "job": job}))
        async for message in socket:
            snapshot = json.loads(message)
            yield snapshot
            if snapshot["finished"]:
                return


async def over_events(
    stack: Stack, job: str, cookie: str
) -> AsyncIterator[dict[str, Any]]:
    async with (
        httpx.AsyncClient(base_url=stack.url, trust_env=False) as client,
        aconnect_sse(
            client, "GET", f"/events?job={job}", headers={"Cookie": cookie}
        ) as source,
    ):
        async for event in source.aiter_sse():
            if event.event == "end":
                return
            assert event.event == "message"
            snapshot = json.loads(event.data)
            assert event.id == f"{job}:{snapshot['revision']}"
            yield snapshot


async def over_long_poll(
    stack: Stack, job: str, cookie: str
) -> AsyncIterator[dict[str, Any]]:
    revision, finished = 0, False
    headers = {"Cookie": cookie}
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as client:
        while not finished:
            path = f"/jobs/{job}?after={revision}&wait=3"
            snapshot = (await client.get(path, headers=headers)).json()
            revision, finished = snapshot["revision"], snapshot["finished"]
            yield snapshot


TRANSPORTS = [over_websocket, over_events, over_long_poll]


async def start(stack: Stack, **params: object) -> tuple[str, str]:
    """Start a counter; returns the job and the visitor's cookie."""
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as client:
        order = {"backend": "counter", "params": params}
        answer = await client.post("/jobs", json=order)
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return answer.json()["job"], cookie


@pytest.mark.parametrize("follow", TRANSPORTS)
async def test_a_job_is_followed_to_its_end(stack: Stack, follow: Follow) -> None:
    job, cookie = await start(stack, seconds=2)

    async with asyncio.timeout(15):
        told = [snapshot async for snapshot in follow(stack, job, cookie)]

    revisions = [each["revision"] for each in told]
    assert revisions == sorted(set(revisions))
    progress = [each["progress"] for each in told if each["progress"] is not None]
    assert progress == sorted(progress)
    assert len(told) >= 8
    assert told[-1]["status"] == "succeeded"
    assert told[-1]["progress"] == 100
    assert told[-1]["complete"] is True


@pytest.mark.parametrize("follow", TRANSPORTS)
async def test_what_goes_wrong_at_the_backend_is_told(
    stack: Stack, follow: Follow
) -> None:
    job, cookie = await start(stack, seconds=1, fail_at=30)

    async with asyncio.timeout(15):
        told = [snapshot async for snapshot in follow(stack, job, cookie)]

    assert told[-1]["status"] == "failed"
    assert told[-1]["error"] == {"code": "backend_failed", "message": "gave up at 30"}


@pytest.mark.parametrize("follow", TRANSPORTS)
async def test_a_backend_that_goes_backwards_is_not_believed(
    stack: Stack, follow: Follow
) -> None:
    job, cookie = await start(stack, seconds=2, backwards=True, flaky=0.2)

    async with asyncio.timeout(20):
        told = [snapshot async for snapshot in follow(stack, job, cookie)]

    progress = [each["progress"] for each in told if each["progress"] is not None]
    assert progress == sorted(progress)
    assert told[-1]["status"] == "succeeded"


async def test_the_client_of_2017_reads_on(stack: Stack, tmp_path: Path) -> None:
    """It knows `progress` and `complete`, and opens nothing first."""
    recipe = (ROOT / "actors/recipes/shipped/counter.toml").read_text()
    # Ten steps of 0.3 s: the first poll is certain to find it at none of them.
    quick = recipe.replace("default = 10\n", "default = 3\n")
    quick = quick.replace("default = 100\n", "default = 10\n")
    (tmp_path / "counter.toml").write_text(quick)
    port = free_port()
    web = stack.start(
        WEB,
        PORT=str(port),
        PROGROCK_RECIPES=str(tmp_path),
        PROGROCK_DEFAULT_BACKEND="counter",
    )
    url = f"http://127.0.0.1:{port}/health/ready"
    await asyncio.to_thread(wait_for, lambda: answers(url), web)

    progress: list[float] = []
    async with (
        asyncio.timeout(15),
        websockets.connect(f"ws://127.0.0.1:{port}/prog/") as socket,
    ):
        await socket.send('{"action": "start"}')
        async for message in socket:
            data = json.loads(message)
            if data.get("progress") is not None:
                progress.append(data["progress"])
            if data.get("complete"):
                break

    assert progress[0] == 0
    assert progress[-1] == 100
    assert progress == sorted(progress)
    assert len(progress) >= 8


async def test_two_tabs_see_the_same_for_one_poll(stack: Stack) -> None:
    job, cookie = await start(stack, seconds=4)

    async def revisions(follow: Follow) -> set[int]:
        return {each["revision"] async for each in follow(stack, job, cookie)}

    async with asyncio.timeout(20):
        first, second = await asyncio.gather(
            revisions(over_websocket), revisions(over_events)
        )

    assert max(first) == max(second)
    polls = _polls(stack, job)
    assert polls <= 4 / 0.2 + 4, f"{polls} polls in 4 s"


async def test_one_visitor_does_not_see_the_others(stack: Stack) -> None:
    job, _ = await start(stack, seconds=1)
    _, stranger = await start(stack, seconds=1)
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as client:
        headers = {"Cookie": stranger}
        for path in (f"/jobs/{job}", f"/jobs/{job}/result", f"/events?job={job}"):
            assert (await client.get(path, headers=headers)).status_code == 404
        listed = (await client.get("/jobs", headers=headers)).json()["jobs"]

    assert job not in [each["job"] for each in listed]


async def test_no_extension_is_accepted(stack: Stack) -> None:
    """Browsers always offer permessage-deflate, which costs 90 KiB for each."""
    async with websockets.connect(stack.socket_url, compression="deflate") as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_a_message_that_is_too_large_closes(stack: Stack) -> None:
    async with websockets.connect(stack.socket_url) as socket:
        await socket.recv()
        await socket.send(json.dumps({"action": "ping", "job": "x" * 70_000}))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("frame", [b"", b"binary", "", "{"])
async def test_a_frame_without_json_is_answered_and_survived(
    stack: Stack, frame: str | bytes
) -> None:
    async with websockets.connect(stack.socket_url) as socket, asyncio.timeout(5):
        assert json.loads(await socket.recv()) == {"accept": True}
        await socket.send(frame)
        assert json.loads(await socket.recv())["error"]["message"]

        await socket.send('{"action": "ping"}')

        assert json.loads(await socket.recv()) == {"pong": True}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_far_too_large_is_refused(stack: Stack, chunked: bool) -> None:
    parts = [b" " * 10_000] * 200
    body = iter(parts) if chunked else b"".join(parts)
    headers = {"Content-Type": "application/json"}
    with httpx.Client(base_url=stack.url, trust_env=False) as client:
        answer = client.post("/jobs", content=body, headers=headers)

    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_newcomers_socket_brings_the_cookie_that_owns_its_jobs(
    stack: Stack,
) -> None:
    async with websockets.connect(stack.socket_url) as socket:
        assert socket.response is not None
        cookie = socket.response.headers["Set-Cookie"]
        await socket.recv()
        await socket.send('{"action": "start", "backend": "counter"}')
        job = json.loads(await socket.recv())["job"]

    assert "HttpOnly" in cookie
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as client:
        address = f"/jobs/{job}"
        assert (await client.get(address)).status_code == 404
        headers = {"Cookie": cookie.partition(";")[0]}
        assert (await client.get(address, headers=headers)).status_code == 200


async def test_a_foreign_page_is_refused_before_the_handshake(stack: Stack) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(stack.socket_url, origin="https://elsewhere.example")

    assert refused.value.response.status_code == 403


def _polls(stack: Stack, job: str) -> int:
    """How often the demo's log says that the last counter was asked for."""
    asked = re.findall(r"GET /counters/(\w+) 200", stack.demo.log())
    return asked.count(asked[-1])
