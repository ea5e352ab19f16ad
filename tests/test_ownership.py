"""A job belongs to its owner; for anybody else it does not exist."""

from __future__ import annotations

import pytest
from quart import Quart
from quart.testing import QuartClient as _Client

from actors.store import Store

from .support import jobs
from .support.asking import (
    FOREIGN,
    ORDER,
    Serving,
    problem,
    start,
)
from .support.jobs import ALICE, BOB

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
