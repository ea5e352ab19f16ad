"""Jobs over HTTP, as the public contract has them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from quart import Quart, Response
from quart.testing import QuartClient as _Client

from actors import Status
from actors.store import Store

from . import jobs
from .jobs import ALICE, BOB

Serving = Callable[..., AbstractAsyncContextManager[Quart]]

ORDER = {"backend": "counter", "params": {"total": 5, "seconds": 1}}
ISO_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
FOREIGN = {"Origin": "https://elsewhere.example"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NO_CANCEL = """
title = "Unstoppable"
url = "http://127.0.0.1:9"
[start]
request = "POST /things"
ref.body = "id"
[status]
request = "GET /things/{ref}"
state = "state"
states.succeeded = ["done"]
states.failed = ["failed"]
"""


async def problem(response: Response, status: int) -> dict[str, Any]:
    """The problem that an answer is, after a look at its shape."""
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    found: dict[str, Any] = await response.get_json(force=True)
    assert found["status"] == status
    assert found["title"]
    assert found["detail"].endswith((".", "…"))
    return found


async def start(client: _Client, **headers: str) -> dict[str, Any]:
    response = await client.post("/jobs", json=ORDER, headers=headers)
    assert response.status_code == 202
    job: dict[str, Any] = await response.get_json()
    return job


# Starting


async def test_a_new_job_is_answered_with_its_snapshot(client: _Client) -> None:
    response = await client.post("/jobs", json=ORDER)

    job = await response.get_json()
    assert response.status_code == 202
    assert response.content_type == "application/json"
    assert response.headers["Location"] == f"/jobs/{job['job']}"
    assert response.headers["Retry-After"] == "1"
    assert re.fullmatch(r"[\w-]{22,}", job["job"])
    assert re.fullmatch(ISO_TIME, job["created_at"])
    assert job == {
        "job": job["job"],
        "backend": "counter",
        "status": "queued",
        "revision": 1,
        "progress": None,
        "complete": False,
        "finished": False,
        "message": None,
        "done": None,
        "total": None,
        "unit": None,
        "reachable": True,
        "can": ["cancel"],
        "params": {"total": 5, "seconds": 1},
        "result": None,
        "error": None,
        "created_at": job["created_at"],
        "started_at": None,
        "observed_at": None,
        "changed_at": job["created_at"],
        "finished_at": None,
    }


async def test_a_newcomer_is_given_a_cookie_that_scripts_cannot_read(
    client: _Client,
) -> None:
    response = await client.post("/jobs", json=ORDER)

    (cookie,) = response.headers.getlist("Set-Cookie")
    attributes = {part.strip().partition("=")[0] for part in cookie.split(";")}
    assert {"HttpOnly", "SameSite", "Max-Age", "Path"} <= attributes
    assert "SameSite=Lax" in cookie
    assert "Secure" not in attributes


async def test_the_cookie_is_secure_where_the_browser_came_by_https(
    client: _Client,
) -> None:
    response = await client.get("/jobs", headers={"X-Forwarded-Proto": "https"})

    assert response.headers["Set-Cookie"].endswith("; Secure")


async def test_a_known_visitor_is_given_no_other_cookie(client: _Client) -> None:
    await client.get("/jobs")

    assert "Set-Cookie" not in (await client.get("/jobs")).headers


async def test_a_cookie_that_was_tampered_with_makes_a_newcomer(
    client: _Client,
) -> None:
    job = await start(client)
    client.set_cookie("localhost", "progrock", "somebody.else")

    response = await client.get(f"/jobs/{job['job']}")

    assert response.status_code == 404
    assert "Set-Cookie" in response.headers


async def test_defaults_are_filled_in(client: _Client) -> None:
    response = await client.post("/jobs", json={"backend": "counter"})

    assert (await response.get_json())["params"] == {"total": 100, "seconds": 10}


async def test_no_backend_means_the_default_one(serving: Serving) -> None:
    async with serving(default_backend="counter") as app:
        response = await app.test_client().post("/jobs", json={})

    assert (await response.get_json())["backend"] == "counter"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "nonsense",
        '{"params":{"total":' + "[" * 20_000,
        b'{"backend":"\xff"}',
        '{"backend":"\\ud800"}',
    ],
)
async def test_bad_json_is_refused(client: _Client, body: str | bytes) -> None:
    response = await client.post(
        "/jobs", data=body, headers={"Content-Type": "application/json"}
    )

    await problem(response, 400)


@pytest.mark.parametrize("size", [64 * 1024 + 1, 2 * 1024 * 1024])
async def test_a_body_over_64_kib_is_refused(client: _Client, size: int) -> None:
    response = await client.post(
        "/jobs", data=b" " * size, headers={"Content-Type": "application/json"}
    )

    assert "64 KiB" in (await problem(response, 413))["detail"]


async def test_a_body_of_64_kib_is_read(client: _Client) -> None:
    response = await client.post(
        "/jobs",
        data=b"{}" + b" " * (64 * 1024 - 2),
        headers={"Content-Type": "application/json"},
    )

    assert response.status_code == 202


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", ""]
)
async def test_what_is_not_json_is_refused(client: _Client, kind: str) -> None:
    response = await client.post("/jobs", data="{}", headers={"Content-Type": kind})

    await problem(response, 415)


@pytest.mark.parametrize(
    "order",
    [
        {"backend": "nonsense"},
        {"backend": "counter", "params": {"total": 0}},
        {"backend": "counter", "params": {"total": "5"}},
        {"backend": "counter", "params": {"total": 10**30}},
        {"backend": "counter", "params": {"unheard": 1}},
        {"backend": "counter", "params": []},
        {"backend": "counter", "params": None},
        {"backend": 5},
        {"backends": "counter"},
        [],
        "counter",
        None,
    ],
)
async def test_what_no_recipe_takes_is_refused(client: _Client, order: Any) -> None:
    response = await client.post("/jobs", json=order)

    await problem(response, 422)
    assert (await (await client.get("/jobs")).get_json())["jobs"] == []


async def test_a_refusal_names_the_param(client: _Client) -> None:
    order = {"backend": "counter", "params": {"total": -1}}

    response = await client.post("/jobs", json=order)

    assert "total" in (await problem(response, 422))["detail"]


async def test_an_owner_has_so_many_active_jobs_and_no_more(serving: Serving) -> None:
    async with serving(max_active_jobs=2) as app:
        client = app.test_client()
        await start(client)
        await start(client)

        response = await client.post("/jobs", json=ORDER)

        await problem(response, 429)
        assert int(response.headers["Retry-After"]) >= 1
        await start(app.test_client())  # others are free to


async def test_a_job_that_has_ended_makes_room(serving: Serving, store: Store) -> None:
    async with serving(max_active_jobs=1, api_tokens=jobs.TOKENS) as app:
        client = app.test_client()
        job = await jobs.add(store)
        assert (
            await client.post("/jobs", json=ORDER, headers=ALICE)
        ).status_code == 429

        await jobs.end(store, job)

        await start(client, **ALICE)


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


# Whose it is


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/{job}"),
        ("DELETE", "/jobs/{job}"),
        ("GET", "/jobs/{job}/result"),
        ("GET", "/events?job={job}"),
        ("POST", "/jobs/{job}/cancel"),
    ],
)
@pytest.mark.parametrize("whose", ["unknown", "somebody else's"])
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_what_is_not_yours_does_not_exist(
    client: _Client, store: Store, method: str, path: str, whose: str, accept: str
) -> None:
    job = await jobs.end(store, await jobs.add(store))
    address = path.format(job="unknown" if whose == "unknown" else job.job)

    response = await client.open(
        address, method=method, headers={**BOB, "Accept": accept}
    )

    body = await response.get_data(as_text=True)
    assert response.status_code == 404
    assert "There is no such job." in body
    assert response.content_type.startswith(
        ("text/html", "application/problem+json")[accept == "application/json"]
    )


async def test_two_visitors_do_not_see_each_others_jobs(app: Quart) -> None:
    one, other = app.test_client(), app.test_client()
    job = await start(one)

    assert (await one.get(f"/jobs/{job['job']}")).status_code == 200
    assert (await other.get(f"/jobs/{job['job']}")).status_code == 404
    assert (await (await other.get("/jobs")).get_json())["jobs"] == []


async def test_two_tokens_are_two_owners(client: _Client) -> None:
    job = await start(client, **ALICE)

    mine = await client.get(f"/jobs/{job['job']}", headers=ALICE)
    theirs = await client.get(f"/jobs/{job['job']}", headers=BOB)

    assert mine.status_code == 200
    assert "Set-Cookie" not in mine.headers
    assert theirs.status_code == 404


@pytest.mark.parametrize("token", ["nonsense", "", "a token of sixteem", "ünknown"])
async def test_an_unknown_token_is_refused(client: _Client, token: str) -> None:
    for path in ("/jobs", "/jobs/unknown", "/"):
        response = await client.get(path, headers={"Authorization": f"Bearer {token}"})

        await problem(response, 401)
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert "Set-Cookie" not in response.headers


async def test_a_proxys_own_password_is_not_taken_for_a_token(client: _Client) -> None:
    """A browser sends it with every request."""
    job = await start(client)

    response = await client.get(
        f"/jobs/{job['job']}", headers={"Authorization": "Basic Zm9vOmJhcg=="}
    )

    assert response.status_code == 200


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


# From other pages


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs"),
        ("GET", "/jobs"),
        ("GET", "/events?job=x"),
        ("DELETE", "/jobs/x"),
        ("POST", "/start"),
    ],
)
@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://["])
async def test_a_foreign_page_is_refused(
    client: _Client, method: str, path: str, origin: str
) -> None:
    response = await client.open(path, method=method, headers={"Origin": origin})

    await problem(response, 403)
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_our_own_page_is_not_foreign(client: _Client) -> None:
    response = await client.post(
        "/jobs", json=ORDER, headers={"Origin": "http://localhost"}
    )

    assert response.status_code == 202


async def test_a_page_of_an_allowed_origin_may_read_answers(serving: Serving) -> None:
    async with serving(allowed_origins=frozenset([FOREIGN["Origin"]])) as app:
        response = await app.test_client().post("/jobs", json=ORDER, headers=FOREIGN)

        assert response.status_code == 202
        assert response.headers["Access-Control-Allow-Origin"] == FOREIGN["Origin"]
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
        assert "Location" in response.headers["Access-Control-Expose-Headers"]
        assert "Origin" in response.headers["Vary"]


async def test_an_allowed_page_may_ask_beforehand(serving: Serving) -> None:
    ask = {**FOREIGN, "Access-Control-Request-Method": "DELETE"}
    async with serving(allowed_origins=frozenset([FOREIGN["Origin"]])) as app:
        allowed = await app.test_client().options("/jobs/x", headers=ask)
        refused = await app.test_client().options(
            "/jobs/x", headers={**ask, "Origin": "https://worse.example"}
        )

    assert allowed.status_code == 200
    assert "DELETE" in allowed.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in allowed.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in refused.headers


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
    await app.extensions["desk"].feed.drain(0)

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
