"""A service whose token is given by OAuth 2.0 client credentials."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from actors.backends import BackendError, Report
from actors.backends.http import HttpBackend
from actors.recipes.load import RecipeError, load_recipe
from actors.store.tokens import TokenShelf

from .support.oven import OVEN, SECRET, Backend, Oven, report, toml

ID, PASSWORD = "the baker", "s3cret:&%"
BEARER = {"headers": {"Authorization": "Bearer {login.token}"}}


class Issuer:
    """Both the token endpoint and the service that wants its tokens."""

    def __init__(self, oven: Oven) -> None:
        self.expires_in: Any = 3600
        self.given = 0
        self.asked: list[tuple[dict[str, list[str]], str | None]] = []
        self.newest = ""
        self.refuses = False
        oven.answer = self.answer

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/oauth/token":
            return await self.give(request)
        if request.headers.get("Authorization") != f"Bearer {self.newest}":
            return web.json_response({}, status=401)
        return web.json_response({"id": "7", "state": "baking"})

    async def give(self, request: web.Request) -> web.Response:
        form = parse_qs((await request.read()).decode())
        self.asked.append((form, request.headers.get("Authorization")))
        assert request.headers.get("X-Own") is None
        if self.refuses:
            said = {"error": "invalid_client", "error_description": PASSWORD}
            return web.json_response(said, status=401)
        self.given += 1
        self.newest = f"token-{self.given}"
        return web.json_response(
            {
                "access_token": self.newest,
                "token_type": "Bearer",
                "expires_in": self.expires_in,
            }
        )


@pytest.fixture
def issuer(oven: Oven) -> Issuer:
    return Issuer(oven)


@pytest.fixture
async def shelved(oven: Oven, tmp_path: Path, redis_url: str) -> AsyncIterator[Backend]:
    """Make a backend that shares its token through Redis."""
    made = []

    def make(**changes: Any) -> HttpBackend:
        path = tmp_path / "shelved.toml"
        lines = (OVEN | {"url": oven.url} | changes).items()
        path.write_text("\n".join(f"{key} = {toml(value)}" for key, value in lines))
        shelf = TokenShelf(redis_url, "progrock", "oven")
        recipe = load_recipe(path, {})
        made.append(HttpBackend("oven", recipe, 200, 2000, shelf=shelf))
        return made[-1]

    yield make
    for backend in made:
        await backend.close()


def tables(oven: Oven, **more: Any) -> dict[str, Any]:
    rule = {
        "url": f"{oven.url}/oauth/token",
        "client_id": ID,
        "client_secret": PASSWORD,
        **more,
    }
    return {
        "login": {"oauth2": rule},
        "every": BEARER,
        "headers": {"X-Own": SECRET},
    }


async def test_one_token_serves_all_calls(
    oven: Oven, issuer: Issuer, backend: Backend
) -> None:
    ours = backend(**tables(oven, scope="bake", audience="https://oven.example"))

    begun = await ours.start("our-id", {})
    reports = [await report(ours) for _ in range(3)]

    assert begun.ref == "7"
    assert all(isinstance(each, Report) for each in reports)
    [(form, authorization)] = issuer.asked
    assert form == {
        "grant_type": ["client_credentials"],
        "scope": ["bake"],
        "audience": ["https://oven.example"],
    }
    pair = base64.b64encode(b"the+baker:s3cret%3A%26%25").decode()
    assert authorization == f"Basic {pair}"


async def test_the_secret_may_stand_in_the_form(
    oven: Oven, issuer: Issuer, backend: Backend
) -> None:
    await report(backend(**tables(oven, send="form")))

    [(form, authorization)] = issuer.asked
    assert (form["client_id"], form["client_secret"]) == ([ID], [PASSWORD])
    assert authorization is None


async def test_a_token_that_ended_early_is_renewed_and_the_start_sent_again(
    oven: Oven, issuer: Issuer, backend: Backend
) -> None:
    ours = backend(**tables(oven))
    await report(ours)
    issuer.newest = "another"

    begun = await ours.start("our-id", {})

    assert begun.ref == "7"
    assert issuer.given == 2


@pytest.mark.parametrize(
    ("expires_in", "kept_s"),
    [(100, 80), ("100", 80), (None, 86400), ("soon", 86400), (1, 1), (1e9, 86400)],
)
async def test_a_token_is_renewed_before_its_end(
    oven: Oven,
    issuer: Issuer,
    shelved: Backend,
    clean_redis: Any,
    expires_in: Any,
    kept_s: int,
) -> None:
    issuer.expires_in = expires_in

    assert isinstance(await report(shelved(**tables(oven))), Report)

    [key] = clean_redis.keys("*:login:oven")
    assert kept_s - 2 <= clean_redis.ttl(key) <= kept_s


async def test_a_refusal_is_a_miss_that_keeps_the_secret(
    oven: Oven, issuer: Issuer, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.refuses = True
    ours = backend(**tables(oven))

    with caplog.at_level(logging.DEBUG):
        errors = await asyncio.gather(*(report(ours) for _ in range(4)))

    assert len(issuer.asked) == 1
    for error in errors:
        assert isinstance(error, BackendError)
        assert (error.code, error.permanent) == ("login_refused", False)
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    "body",
    [{}, [], None, *({"access_token": token} for token in ("", 7, None, "a\nb"))],
)
async def test_an_answer_without_a_token_is_a_refusal(
    oven: Oven, backend: Backend, body: Any
) -> None:
    oven.says(body)

    error = await report(backend(**tables(oven)))

    assert isinstance(error, BackendError)
    assert error.code == "login_refused"


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ({"keep": {}}, "the key `keep` is missing, or `oauth2` - at `$.login`"),
        ({"keep": {"token": "t"}, "oauth2": {}}, "needs no other call"),
        ({"request": "POST /login", "oauth2": {}}, "needs no other call"),
        ({"oauth2": {"url": "ftp://id"}}, "must be an http or https address"),
        ({"oauth2": {"client_secre": "x"}}, "client_secre"),
    ],
)
def test_a_mistake_names_its_key(
    oven: Oven, backend: Backend, login: dict[str, Any], says: str
) -> None:
    if "oauth2" in login:
        rule = tables(oven)["login"]["oauth2"] | login["oauth2"]
        login = login | {"oauth2": rule}

    with pytest.raises(RecipeError) as mistake:
        backend(**OVEN | tables(oven) | {"login": login})

    assert says in str(mistake.value)
