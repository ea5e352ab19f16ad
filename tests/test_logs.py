"""The logs of the processes, as people and programs read them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets

from dev.processes import BIN, WEB, Stack, running, wait_for, worker
from dev.redis import embedded

from .support.site import TOKEN, site

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
OURS = ["-m", "actors", "--processes", "2", "--threads", "4"]
COUNTER = {"backend": "counter", "params": {"seconds": 1}}


def objects(text: str) -> list[dict[str, Any]]:
    """All lines as JSON objects; an error if one is none."""
    found = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(each, dict) for each in found)
    return found


def about(lines: list[dict[str, Any]], job: str) -> list[str]:
    """The messages about a job, with its id left out."""
    said = [line["message"] for line in lines if line.get("job") == job]
    return [message.replace(f"Job {job}", "Job") for message in said]


def of_request(text: str, request: str) -> list[dict[str, Any]]:
    """The lines of one request."""
    return [line for line in objects(text) if line.get("request") == request]


@pytest.fixture(scope="module")
def logged() -> Iterator[Stack]:
    """Processes that write JSON, of which the worker was started by our command."""
    environ = {"PROGROCK_LOG": "json", "PROGROCK_ACCESS_LOG": "on"}
    with embedded() as server, Stack(server.url, **environ) as stack:
        stack.start_all()
        stack.worker.end()
        stack.worker = stack.start([str(BIN / "python"), *OURS])
        wait_for(lambda: "ready for action" in stack.worker.log(), stack.worker)
        yield stack


@pytest.fixture
def client(logged: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=logged.url, trust_env=False) as client:
        yield client


def ended(stack: Stack, job: str) -> bool:
    return any(job in line and "has ended" in line for line in lines_of(stack))


def lines_of(stack: Stack) -> list[str]:
    return stack.worker.log().splitlines()


def test_each_line_is_an_object(logged: Stack, client: httpx.Client) -> None:
    job = client.post("/jobs", json=COUNTER).json()["job"]
    wait_for(lambda: ended(logged, job))

    for process in (logged.web, logged.worker):
        for line in objects(process.log()):
            assert re.fullmatch(TIME, line["time"])
            assert {"level", "logger", "message", "pid"} <= line.keys()
    loggers = {line["logger"] for line in objects(logged.worker.log())}
    assert "dramatiq.MainProcess" in loggers
    assert "dramatiq.WorkerProcess(1)" in loggers


def test_the_life_of_a_job_is_told_once(logged: Stack, client: httpx.Client) -> None:
    job = client.post("/jobs", json=COUNTER).json()["job"]
    wait_for(lambda: ended(logged, job))

    told = about(objects(logged.web.log()), job)
    assert told.count("Job of counter was created.") == 1
    assert about(objects(logged.worker.log()), job) == [
        "Job of counter has started.",
        "Job of counter has ended: succeeded.",
    ]


def test_a_stop_and_the_end_of_a_failed_job_are_told(
    logged: Stack, client: httpx.Client
) -> None:
    long = {"backend": "counter", "params": {"seconds": 60}}
    stopped = client.post("/jobs", json=long).json()["job"]
    wait_for(lambda: client.get(f"/jobs/{stopped}").json()["status"] == "running")
    client.delete(f"/jobs/{stopped}")
    failing = {"backend": "counter", "params": {"seconds": 1, "fail_at": 1}}
    failed = client.post("/jobs", json=failing).json()["job"]
    wait_for(lambda: ended(logged, stopped) and ended(logged, failed))

    assert "Job: cancel was asked for." in about(objects(logged.web.log()), stopped)
    told = objects(logged.worker.log())
    assert about(told, stopped)[-1] == "Job of counter has ended: cancelled."
    assert about(told, failed)[-1].startswith("Job of counter has ended: failed (")


def test_a_request_keeps_the_id_that_a_proxy_gave_it(
    logged: Stack, client: httpx.Client
) -> None:
    answer = client.post("/jobs", json=COUNTER, headers={"X-Request-Id": "from-afar.7"})
    job = answer.json()["job"]

    assert answer.headers["X-Request-Id"] == "from-afar.7"
    lines = [
        line
        for line in objects(logged.web.log())
        if line.get("request") == "from-afar.7"
    ]
    created, access = lines
    assert created["job"] == job
    assert access["logger"] == "web.access"
    assert (access["method"], access["path"], access["status"]) == (
        "POST",
        "/jobs",
        202,
    )
    assert 0 < access["seconds"] < 5
    assert access["client"] == "127.0.0.1"


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", '"}{"level": 1'])
def test_an_id_that_is_not_sane_is_replaced(client: httpx.Client, given: str) -> None:
    headers = {"X-Request-Id": given} if given else {}
    ids = {
        client.get("/health/live", headers=headers).headers["X-Request-Id"]
        for _ in range(2)
    }

    assert len(ids) == 2
    assert all(re.fullmatch(r"[\w-]{16}", each) for each in ids)


def test_a_refusal_is_one_line_with_its_reason_and_no_query(
    logged: Stack, client: httpx.Client
) -> None:
    client.get("/jobs/nobodys?token=hidden", headers={"X-Request-Id": "refused-1"})

    refused, access = of_request(logged.web.log(), "refused-1")
    assert refused["message"] == (
        "GET /jobs/nobodys was refused with 404: There is no such job."
    )
    assert (refused["job"], refused["code"]) == ("nobodys", "unknown_job")
    assert access["status"] == 404
    assert "hidden" not in logged.web.log()


async def test_a_socket_has_an_id_for_as_long_as_it_is_open(logged: Stack) -> None:
    headers = {"X-Request-Id": "a-socket"}
    async with websockets.connect(
        logged.socket_url, additional_headers=headers
    ) as socket:
        assert socket.response is not None
        assert socket.response.headers["X-Request-Id"] == "a-socket"
        await socket.recv()
        await socket.send(json.dumps({"action": "start", **COUNTER}))
        job = json.loads(await socket.recv())["job"]
        await socket.send(json.dumps({"action": "pause", "job": "nobodys"}))
        while "action" not in json.loads(await socket.recv()):
            pass

    opened, created, refused = of_request(logged.web.log(), "a-socket")
    assert (opened["path"], opened["status"]) == ("/prog/", 101)
    assert created["job"] == job
    assert "'pause' was refused with 404" in refused["message"]
    assert refused["job"] == "nobodys"


def test_the_sentence_with_which_a_process_ends_is_an_object_too(
    redis_url: str,
) -> None:
    commands = WEB, worker(), [str(BIN / "python"), *OURS]
    with Stack(redis_url, PROGROCK_LOG="json", PROGROCK_POLL_INTERVAL_MS="1") as stack:
        for command in commands:
            process = stack.start(command)
            assert process.wait() != 0
            text = process.log()
            said = [line for line in text.splitlines() if not line.startswith("[")]
            messages = [line["message"] for line in objects("\n".join(said))]
            assert any("PROGROCK_POLL_INTERVAL_MS must" in each for each in messages)


def test_text_has_a_time_in_web_and_worker() -> None:
    with embedded() as server, running(server.url) as stack:
        with httpx.Client(base_url=stack.url, trust_env=False) as client:
            job = client.post("/jobs", json=COUNTER).json()["job"]
            wait_for(lambda: ended(stack, job))

        web, work = stack.web.log(), stack.worker.log()
    line = (
        rf"(?m)^{TIME} INFO actors\.commands: Job {job} of counter was created\. \[job="
    )
    assert re.search(line, web)
    assert re.search(rf"(?m)^{TIME} INFO actors\.worker\.milestones: Job {job}", work)
    assert "web.access" not in web


async def test_a_redis_that_is_away_is_named_in_the_line_of_each_refusal() -> None:
    async with site() as ours:
        web = await ours.serve(PROGROCK_LOG="json")
        ours.redis.kill()
        async with httpx.AsyncClient(base_url=web.url, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "away"}
            answer = await client.get("/jobs", headers=headers, timeout=15)
        assert answer.status_code == 503

        text = await asyncio.to_thread(web.process.log)
    [refused] = of_request(text, "away")
    assert refused["level"] == "WARNING"
    assert refused["message"].startswith("GET /jobs was refused with 503: This cannot")
    assert "ConnectionError" in refused["cause"]


def test_workers_of_our_command_take_nothing_from_each_other() -> None:
    """They are forked off one process that has the broker; each has its own name."""
    with embedded() as server, running(server.url) as stack:
        stack.worker.end()
        stack.start([str(BIN / "python"), *OURS])
        with httpx.Client(base_url=stack.url, trust_env=False) as client:
            made = [client.post("/jobs", json=COUNTER).json()["job"] for _ in range(10)]

            def succeeded() -> bool:
                found = [client.get(f"/jobs/{job}").json() for job in made]
                return all(each["status"] == "succeeded" for each in found)

            wait_for(succeeded)
