"""Starting jobs over HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest
from quart.testing import QuartClient as _Client

from actors.store import Store

from .support import jobs
from .support.asking import (
    ISO_TIME,
    ORDER,
    Serving,
    problem,
    start,
)
from .support.jobs import ALICE


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
        "request": None,
        "steps": None,
        "queue_place": None,
        "adopted": False,
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
        '{"params":{"total":' + "[" * 40 + "]" * 40 + "}}",
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
