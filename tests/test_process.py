"""How the processes begin and end, and how they go on when others are gone."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Iterator

import httpx
import hypercorn.asyncio
import psutil
import pytest
import redis
import websockets
from hypercorn.config import Config
from hypercorn.middleware import ProxyFixMiddleware

from actors.store.redis import CALL_S
from dev.processes import WEB, Process, Stack, answers, running, wait_for, worker
from dev.redis import embedded, free_port
from web import create_app

from .support.site import site

NOWHERE = "redis://:a-password@127.0.0.1:1/0"
SECRET = "a secret for the tests, of no worth"


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """A stack that a test may hurt."""
    with embedded() as server, running(server.url, PROGROCK_LIMITS="off") as stack:
        yield stack


def ends_with_one_line(command: list[str], environ: dict[str, str]) -> str:
    process = Process(command, environ)
    try:
        assert process.wait(20) != 0
        # Dramatiq's own lines begin with the time.
        said = [line for line in process.log().splitlines() if not line.startswith("[")]
        assert "Traceback" not in process.log()
        assert len(said) == 1, process.log()
        return said[0]
    finally:
        process.end()


@pytest.mark.parametrize("command", [WEB, worker()], ids=["web", "worker"])
def test_without_redis_it_says_so_in_one_line(command: list[str]) -> None:
    environ = {"REDIS_URL": NOWHERE, "SECRET_KEY": SECRET, "PORT": str(free_port())}
    line = ends_with_one_line(command, environ)

    assert "Redis cannot be reached" in line
    assert "REDIS_URL" in line
    assert "a-password" not in line


@pytest.mark.parametrize("command", [WEB, worker()], ids=["web", "worker"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROGROCK_POLL_INTERVAL_MS", "0"),
        ("PROGROCK_POLL_INTERVAL_MS", "-5"),
        ("PROGROCK_POLL_INTERVAL_MS", "10"),
        ("REDIS_URL", ""),
        ("PROGROCK_DEFAULT_BACKEND", "nonsense"),
        ("PROGROCK_RECIPES", "/no/such/folder"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    command: list[str], name: str, value: str, redis_url: str
) -> None:
    environ = {"REDIS_URL": redis_url, "SECRET_KEY": SECRET, name: value}

    assert name in ends_with_one_line(command, environ)


def test_production_wants_a_secret_key(redis_url: str) -> None:
    assert "SECRET_KEY" in ends_with_one_line(WEB, {"REDIS_URL": redis_url})


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1/0?colour=blue", "redis://a..b:6379"]
)
def test_a_redis_address_that_makes_no_sense_is_one_line(url: str) -> None:
    with Stack(url) as stack:
        web = stack.start(WEB)

        assert web.wait() == 1
        assert web.log().strip().startswith("REDIS_URL makes no sense: ")
        assert "\n" not in web.log().strip()


def test_a_port_that_is_taken_is_named(redis_url: str) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = str(other.getsockname()[1])
        environ = {"REDIS_URL": redis_url, "SECRET_KEY": SECRET, "PORT": port}

        assert f"PORT {port}" in ends_with_one_line(WEB, environ)


@pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
async def test_open_streams_are_told_before_the_end(
    own_stack: Stack, group: bool
) -> None:
    async with (
        httpx.AsyncClient(base_url=own_stack.url, trust_env=False) as client,
        websockets.connect(own_stack.socket_url) as socket,
    ):
        order = {"backend": "counter", "params": {"seconds": 60}}
        job = (await client.post("/jobs", json=order)).json()["job"]
        async with client.stream("GET", f"/events?job={job}") as events:
            lines = events.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            assert json.loads(await socket.recv()) == {"accept": True}
            started = time.monotonic()
            if group:
                own_stack.web.signal_group(signal.SIGTERM)
            else:
                own_stack.web.popen.terminate()

            last = [line async for line in lines if line]
            said = json.loads(await socket.recv())
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()

    assert last[-1].startswith("retry: ")
    assert 0 <= said["reconnect_in_ms"] <= 3000
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert await asyncio.to_thread(own_stack.web.wait) == 0
    assert time.monotonic() - started < 5


def test_a_worker_told_to_stop_twice_hands_its_jobs_on(own_stack: Stack) -> None:
    with httpx.Client(base_url=own_stack.url, trust_env=False) as client:
        order = {"backend": "counter", "params": {"seconds": 4}}
        jobs = [client.post("/jobs", json=order).json()["job"] for _ in range(10)]
        wait_for(lambda: _status(client, jobs[0]) == "running")

        own_stack.worker.signal_group(signal.SIGTERM)
        assert own_stack.worker.wait() == 0, own_stack.worker.log()
        own_stack.start(worker())

        wait_for(
            lambda: all(_status(client, job) == "succeeded" for job in jobs),
            timeout_s=20,
        )


def test_a_worker_whose_master_was_killed_stops_by_itself(own_stack: Stack) -> None:
    children = psutil.Process(own_stack.worker.pid).children(recursive=True)

    own_stack.worker.popen.kill()

    wait_for(lambda: not any(child.is_running() for child in children), timeout_s=10)


def test_a_backend_that_is_down_fails_the_job_with_a_sentence(
    own_stack: Stack,
) -> None:
    own_stack.demo.end()
    with httpx.Client(base_url=own_stack.url, trust_env=False) as client:
        job = client.post("/jobs", json={"backend": "counter"}).json()["job"]

        wait_for(lambda: _status(client, job) == "failed", timeout_s=10)

        error = client.get(f"/jobs/{job}").json()["error"]
    assert error["code"] == "unreachable"
    assert error["message"] == "Counter cannot be reached. Try again later."


def test_what_redis_takes_away_comes_back_by_itself() -> None:
    with (
        embedded(append_only=True) as server,
        running(server.url, PROGROCK_LIMITS="off") as stack,
        httpx.Client(base_url=stack.url, trust_env=False, timeout=20) as client,
    ):
        order = {"backend": "counter", "params": {"seconds": 6}}
        job = client.post("/jobs", json=order).json()["job"]
        wait_for(lambda: _status(client, job) == "running")

        server.kill()
        wait_for(lambda: not answers(f"{stack.url}/health/ready"))
        server.start()

        wait_for(lambda: answers(f"{stack.url}/health/ready"), timeout_s=10)
        wait_for(lambda: _status(client, job) == "succeeded", timeout_s=20)


def test_a_redis_that_takes_no_writes_for_a_moment_ends_no_worker() -> None:
    with (
        embedded() as server,
        running(server.url, PROGROCK_LIMITS="off") as stack,
        httpx.Client(base_url=stack.url, trust_env=False) as client,
        redis.Redis.from_url(server.url) as admin,
    ):
        order = {"backend": "counter", "params": {"seconds": 4}}
        job = client.post("/jobs", json=order).json()["job"]
        wait_for(lambda: _status(client, job) == "running")
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")  # as in a failover
        wait_for(lambda: "read only replica" in stack.worker.log(), timeout_s=10)
        admin.execute_command("REPLICAOF", "NO", "ONE")

        wait_for(lambda: _status(client, job) == "succeeded", timeout_s=15)
        assert stack.worker.popen.poll() is None
        assert "has died" not in stack.worker.log()


@pytest.mark.parametrize("door", ["http", "socket"])
async def test_a_cancelled_render_stops_in_the_demo_itself(
    stack: Stack, door: str
) -> None:
    async with websockets.connect(stack.socket_url) as socket:
        await socket.recv()
        await socket.send('{"action": "start", "backend": "render"}')
        job = json.loads(await socket.recv())
        cookie = socket.response.headers["Set-Cookie"].partition(";")[0]
        while not (job["progress"] or 0) > 1:
            job = json.loads(await socket.recv())

        asked = time.monotonic()
        if door == "http":
            async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as client:
                headers = {"Cookie": cookie}
                answer = await client.delete(f"/jobs/{job['job']}", headers=headers)
                assert answer.status_code == 202
                assert answer.json()["status"] == "stopping"
        else:
            await socket.send(json.dumps({"action": "cancel", "job": job["job"]}))
        while not job["finished"]:
            job = json.loads(await socket.recv())

    assert job["status"] == "cancelled"
    assert time.monotonic() - asked < 3
    wait_for(lambda: _is_idle(stack.demo.pid), timeout_s=5)


async def test_hypercorns_own_command_serves_it_too(own_stack: Stack) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    bind = f"127.0.0.1:{port}"
    process = own_stack.start(
        [sys.executable, "-m", "hypercorn", "web:create_app()", "--bind", bind]
    )

    await asyncio.to_thread(wait_for, lambda: answers(f"{url}/health/ready"), process)
    async with websockets.connect(f"ws://{bind}/prog/") as socket:
        assert json.loads(await socket.recv()) == {"accept": True}
        await socket.send("x" * (64 * 1024 + 1))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_it_may_stand_behind_middleware_that_copies_the_scope(
    redis_url: str,
) -> None:
    config, stop = Config(), asyncio.Event()
    config.bind = [f"127.0.0.1:{free_port()}"]
    behind = ProxyFixMiddleware(create_app())
    serving = asyncio.create_task(
        hypercorn.asyncio.serve(behind, config, shutdown_trigger=stop.wait)
    )
    url = f"http://{config.bind[0]}/health/ready"
    await asyncio.to_thread(wait_for, lambda: answers(url))
    stop.set()
    await serving


async def test_a_broker_that_hangs_holds_up_nothing_but_the_start() -> None:
    with embedded() as broker:
        async with site() as here:
            web = await here.serve(BROKER_URL=broker.url, PROGROCK_DRAIN_S="2")
            broker.pause()
            async with httpx.AsyncClient(base_url=web.url, trust_env=False) as client:
                orders = [
                    asyncio.create_task(
                        client.post(
                            "/jobs", json={"backend": "counter"}, timeout=CALL_S + 5
                        )
                    )
                    for _ in range(20)
                ]
                assert not (await asyncio.wait(orders, timeout=0.5))[0]
                assert (await client.get("/static/feed.js")).status_code == 200
                answered = await asyncio.gather(*orders)
            assert {each.status_code for each in answered} == {202}

            asked = time.monotonic()
            web.process.popen.terminate()
            assert await asyncio.to_thread(web.process.wait) == 0
            assert time.monotonic() - asked < 2.5


def _status(client: httpx.Client, job: str) -> object:
    answer = client.get(f"/jobs/{job}")
    return answer.json()["status"] if answer.status_code == 200 else None


def _is_idle(pid: int) -> bool:
    """Whether a process and its children used next to no CPU for a quarter second."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    before = sum(sum(process.cpu_times()[:2]) for process in family)
    time.sleep(0.25)
    after = sum(sum(process.cpu_times()[:2]) for process in family)
    return after - before < 0.05
