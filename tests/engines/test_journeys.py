"""Whole jobs over each way to have Redis, with the real processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from httpx_sse import connect_sse

from dev.processes import Stack, running
from dev.redis import embedded

from .servers import cluster, sentinels

TOKENS = "ann:0123456789abcdef,cook:fedcba9876543210"
ANN = {"Authorization": "Bearer 0123456789abcdef"}
COOK = {"Authorization": "Bearer fedcba9876543210"}


@pytest.fixture(scope="module", params=["one", "partitions", "sentinels", "cluster"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with ExitStack() as ours:
        redis = ours.enter_context(embedded()).url
        environ = {"PROGROCK_API_TOKENS": TOKENS, "PROGROCK_WIDE_OWNERS": "cook"}
        if request.param != "one":
            environ["PROGROCK_PARTITIONS"] = "16"
        if request.param == "sentinels":
            redis = ours.enter_context(sentinels()).url
        if request.param == "cluster":
            environ["BROKER_URL"] = redis
            redis = ours.enter_context(cluster()).url
        yield ours.enter_context(running(redis, 1, **environ))


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=10) as client:
        yield client


def started(
    client: httpx.Client, seconds: float, auth: dict[str, str], backend: str = "counter"
) -> str:
    order = {"backend": backend, "params": {"total": 100, "seconds": seconds}}
    answer = client.post("/jobs", json=order, headers=auth)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job"])


def events(
    client: httpx.Client, auth: dict[str, str], *jobs: str
) -> Iterator[dict[str, object]]:
    """All snapshots of a stream, until all of its jobs have ended."""
    params = [("job", job) for job in jobs]
    with connect_sse(client, "GET", "/events", params=params, headers=auth) as source:
        for event in source.iter_sse():
            if event.event == "end":
                return
            if event.event == "message":
                yield json.loads(event.data)


def test_a_job_is_watched_to_its_end(client: httpx.Client) -> None:
    job = started(client, 1.5, ANN)

    told = list(events(client, ANN, job))

    assert told[-1]["status"] == "succeeded"
    assert told[-1]["progress"] == 100
    assert len(told) > 5
    first = int(str(told[0]["revision"]))
    assert [each["revision"] for each in told] == [first + n for n in range(len(told))]


def test_many_jobs_of_a_wide_owner_are_told_on_one_stream(client: httpx.Client) -> None:
    jobs = [started(client, 2, COOK, "counter-bulk") for _ in range(12)]

    ended = {
        each["job"] for each in events(client, COOK, *jobs) if each["complete"] is True
    }

    assert ended == set(jobs)
    listed = client.get("/jobs?limit=50", headers=COOK).json()["jobs"]
    assert {each["job"] for each in listed} == set(jobs)


def test_a_job_is_stopped_while_it_is_watched(client: httpx.Client) -> None:
    job = started(client, 60, ANN)
    told = events(client, ANN, job)
    for each in told:
        if each["status"] == "running":
            break

    assert client.delete(f"/jobs/{job}", headers=ANN).status_code == 202

    assert [each["status"] for each in told][-1] == "cancelled"
    assert client.get(f"/jobs/{job}", headers=ANN).json()["status"] == "cancelled"


def test_a_stranger_sees_nothing(client: httpx.Client) -> None:
    job = started(client, 1, ANN)

    assert client.get(f"/jobs/{job}", headers=COOK).status_code == 404
    assert client.get(f"/jobs/{job}").status_code == 404
    assert client.get("/jobs").json()["jobs"] == []
    assert job in [
        each["job"] for each in client.get("/jobs", headers=ANN).json()["jobs"]
    ]


def test_a_picture_is_made_and_fetched(client: httpx.Client) -> None:
    order = {"backend": "render", "params": {"width": 64, "height": 48}}
    job = client.post("/jobs", json=order, headers=ANN).json()
    deadline = time.monotonic() + 20
    while not job["finished"]:
        assert time.monotonic() < deadline
        address = f"/jobs/{job['job']}?after={job['revision']}&wait=5"
        job = client.get(address, headers=ANN).json()

    picture = client.get(job["result"]["url"], headers=ANN)
    assert picture.content.startswith(b"\x89PNG\r\n")


def test_it_is_ready(client: httpx.Client) -> None:
    assert client.get("/health/ready").status_code == 200
