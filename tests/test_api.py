"""Jobs over HTTP, as the public contract has them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from quart import Quart
from quart.testing import QuartClient as _Client

from actors import Status
from actors.store import Store

from .support import jobs
from .support.asking import (
    BROWSER,
    NO_CANCEL,
    Serving,
    problem,
    start,
)
from .support.jobs import ALICE, BOB

# Looking


async def test_jobs_are_listed_newest_first(client: _Client) -> None:
    started = [await start(client) for _ in range(3)]

    answer = await (await client.get("/jobs")).get_json()

    assert answer["cursor"] is None
    times = [job["created_at"] for job in answer["jobs"]]
    assert times == sorted(times, reverse=True)
    assert {job["job"] for job in started} == {job["job"] for job in answer["jobs"]}
    assert all(job in started for job in answer["jobs"])


async def test_pages_follow_each_other_by_cursor(client: _Client) -> None:
    for _ in range(5):
        await start(client)
    everything = (await (await client.get("/jobs")).get_json())["jobs"]

    paged, cursor = [], ""
    for expected in (2, 2, 1):
        response = await client.get(f"/jobs?limit=2&cursor={cursor}")
        page = await response.get_json()
        assert len(page["jobs"]) == expected
        paged += page["jobs"]
        cursor = page["cursor"]

    assert cursor is None
    assert paged == everything


async def test_the_last_full_page_has_no_cursor(client: _Client) -> None:
    for _ in range(2):
        await start(client)

    assert (await (await client.get("/jobs?limit=2")).get_json())["cursor"] is None


async def test_jobs_can_be_listed_by_status(client: _Client, store: Store) -> None:
    queued = [await jobs.add(store) for _ in range(3)]
    running = [await jobs.run(store, await jobs.add(store), 5) for _ in range(3)]

    async def listed(query: str) -> tuple[set[str], str | None]:
        response = await client.get(f"/jobs?{query}", headers=ALICE)
        page = await response.get_json()
        return {job["job"] for job in page["jobs"]}, page["cursor"]

    assert await listed("status=queued") == ({job.job for job in queued}, None)
    assert await listed("status=running") == ({job.job for job in running}, None)
    assert await listed("status=failed") == (set(), None)
    first, cursor = await listed("status=queued&limit=2")
    rest, none = await listed(f"status=queued&limit=2&cursor={cursor}")
    assert first | rest == {job.job for job in queued}
    assert none is None


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=101",
        "limit=many",
        "limit=" + "9" * 5000,
        "limit=",
        "cursor=nowhere",
        "status=nonsense",
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    client: _Client, query: str
) -> None:
    await problem(await client.get(f"/jobs?{query}"), 400)


async def test_somebody_elses_job_is_no_cursor(client: _Client, store: Store) -> None:
    job = await jobs.add(store)

    response = await client.get(f"/jobs?cursor={job.job}", headers=BOB)

    await problem(response, 400)


async def test_a_job_is_told_with_its_revision_as_etag(
    client: _Client, store: Store
) -> None:
    job = await jobs.run(store, await jobs.add(store), 41.5)

    response = await client.get(f"/jobs/{job.job}", headers=ALICE)

    told = await response.get_json()
    assert response.headers["ETag"] == '"2"'
    assert told["revision"] == 2
    assert told["status"] == "running"
    assert told["progress"] == 41.5


@pytest.mark.parametrize("etag", ['"1"', 'W/"1"', '"0", "1"', "*"])
async def test_a_revision_that_the_client_has_is_not_sent(
    client: _Client, etag: str
) -> None:
    job = await start(client)

    response = await client.get(f"/jobs/{job['job']}", headers={"If-None-Match": etag})

    assert response.status_code == 304
    assert response.headers["ETag"] == '"1"'
    assert await response.get_data() == b""


async def test_a_newer_revision_is_sent(client: _Client, store: Store) -> None:
    job = await jobs.run(store, await jobs.add(store), 5)

    response = await client.get(
        f"/jobs/{job.job}", headers={**ALICE, "If-None-Match": '"1"'}
    )

    assert response.status_code == 200


async def test_a_browser_is_shown_a_page(client: _Client) -> None:
    job = await start(client)

    response = await client.get(f"/jobs/{job['job']}", headers=BROWSER)

    assert response.content_type == "text/html; charset=utf-8"
    assert "Accept" in response.headers["Vary"]
    assert job["job"] in await response.get_data(as_text=True)


async def test_answers_about_jobs_are_for_their_owner_alone(client: _Client) -> None:
    """A cache in between may show them to nobody else."""
    job = await start(client)

    for path in ("/jobs", f"/jobs/{job['job']}", "/jobs/unknown", "/"):
        control = (await client.get(path)).headers["Cache-Control"]
        assert "private" in control or "no-store" in control, path


# Stopping


async def test_a_job_is_stopped(client: _Client, store: Store) -> None:
    job = await jobs.run(store, await jobs.add(store), 30)

    response = await client.delete(f"/jobs/{job.job}", headers=ALICE)

    told = await response.get_json()
    assert response.status_code == 202
    assert told["status"] == "stopping"
    assert told["revision"] == 3
    assert told["progress"] == 30
    assert told["can"] == []


async def test_stopping_twice_is_stopping_once(client: _Client) -> None:
    job = await start(client)

    first = await client.delete(f"/jobs/{job['job']}")
    second = await client.delete(f"/jobs/{job['job']}")

    assert first.status_code == second.status_code == 202
    assert await first.get_json() == await second.get_json()


@pytest.mark.parametrize("how", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
async def test_a_job_that_has_ended_stays_as_it_is(
    client: _Client, store: Store, how: Status
) -> None:
    job = await jobs.end(store, await jobs.add(store), how)

    response = await client.delete(f"/jobs/{job.job}", headers=ALICE)

    assert response.status_code == 200
    assert (await response.get_json())["status"] == how
    assert (await response.get_json())["revision"] == job.revision


@pytest.mark.parametrize(
    ("verb", "status"), [("pause", Status.RUNNING), ("resume", Status.PAUSED)]
)
async def test_a_job_is_paused_and_resumed(
    client: _Client, store: Store, verb: str, status: Status
) -> None:
    job = await jobs.add(store, can=("cancel", "pause", "resume"))
    job = await jobs.move(store, job, status=status)

    response = await client.post(f"/jobs/{job.job}/{verb}", headers=ALICE)
    again = await client.post(f"/jobs/{job.job}/{verb}", headers=ALICE)

    told = await response.get_json()
    assert response.status_code == again.status_code == 202
    assert told["request"]["action"] == verb
    assert told["request"]["state"] == "asked"
    assert told == await again.get_json()


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_a_pause_that_cannot_be_is_a_conflict(
    client: _Client, store: Store, verb: str
) -> None:
    status = Status.PAUSED if verb == "resume" else Status.RUNNING
    job = await jobs.move(store, await jobs.add(store), status=status)
    ended = await jobs.end(store, await jobs.add(store, can=(verb,)))

    for each in (job, ended):
        response = await client.post(f"/jobs/{each.job}/{verb}", headers=ALICE)
        assert (await problem(response, 409))["code"] == f"cannot_{verb}"
    others = await client.post(f"/jobs/{job.job}/{verb}", headers=BOB)
    await problem(others, 404)


async def test_what_the_backend_cannot_stop_goes_on(
    serving: Serving, tmp_path: Path
) -> None:
    (tmp_path / "unstoppable.toml").write_text(NO_CANCEL)
    async with serving(recipes=(tmp_path,), default_backend="unstoppable") as app:
        client = app.test_client()
        job = await (await client.post("/jobs", json={})).get_json()
        assert job["can"] == []

        response = await client.delete(f"/jobs/{job['job']}")

        await problem(response, 409)
        told = await (await client.get(f"/jobs/{job['job']}")).get_json()
        assert told["status"] == "queued"


async def test_there_is_no_result_before_there_is_one(client: _Client) -> None:
    job = await start(client)

    await problem(await client.get(f"/jobs/{job['job']}/result"), 404)


# Around all of it


async def test_every_route_sets_the_security_headers(app: Quart) -> None:
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "unknown", rule.rule)
        for method in sorted(rule.methods or {"GET"}):
            response = await client.open(path, method=method)

            what = f"{method} {path}: {response.status_code}"
            assert response.status_code < 500, what
            assert response.headers["X-Content-Type-Options"] == "nosniff", what
            assert response.headers["Referrer-Policy"] == "same-origin", what
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy, what
            assert "frame-ancestors 'none'" in policy, what
            assert "unsafe" not in policy, what


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/jobs", 405), ("GET", "/start", 405)],
)
async def test_what_is_not_there_is_a_problem_too(
    client: _Client, method: str, path: str, status: int
) -> None:
    response = await client.open(path, method=method)

    await problem(response, status)
    assert (status == 405) == ("POST" in response.headers.get("Allow", ""))


async def test_backends_are_listed_with_the_schema_of_their_params(
    client: _Client,
) -> None:
    answer = await (await client.get("/backends")).get_json()

    by_name = {backend["name"]: backend for backend in answer["backends"]}
    assert {"counter", "render"} <= by_name.keys()
    assert by_name["counter"]["title"] == "Counter"
    assert by_name["counter"]["can"] == ["cancel"]
    for backend in answer["backends"]:
        Draft202012Validator.check_schema(backend["params"])
        assert backend["params"]["type"] == "object"


async def test_it_lives_and_is_ready(client: _Client) -> None:
    live = await client.get("/health/live")
    async with asyncio.timeout(5):
        while (ready := await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0)

    assert live.status_code == 200
    assert live.content_type == ready.content_type == "application/json"


async def test_a_process_that_is_about_to_stop_is_not_ready(app: Quart) -> None:
    await app.extensions["hub"].drain(0)

    response = await app.test_client().get("/health/ready")

    assert response.status_code == 503
    assert (await response.get_json())["reason"]


async def test_without_redis_it_lives_but_is_not_ready(serving: Serving) -> None:
    async with serving(redis_url="redis://127.0.0.1:9/0") as app:
        client = app.test_client()
        live, ready = (
            await client.get("/health/live"),
            await client.get("/health/ready"),
        )
        jobs_ = await client.get("/jobs")

    assert live.status_code == 200
    assert ready.status_code == 503
    assert (await ready.get_json())["reason"]
    await problem(jobs_, 503)
    assert int(jobs_.headers["Retry-After"]) >= 1
