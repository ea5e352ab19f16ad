"""Services whose token ends: one login for all, renewed when it is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from redis import Redis

from actors import Action, Settings
from actors.backends import BackendError, Handle, Report
from actors.backends.http import HttpBackend
from actors.backends.registry import Backends
from actors.recipes.load import RecipeError, load_recipe
from actors.store.tokens import TokenShelf

from .support.oven import OVEN, Backend, Oven, toml

PASSWORD = "a password of the oven's"
BY_TOKEN: dict[str, Any] = {
    "login": {
        "request": "POST /login",
        "json": {"password": PASSWORD},
        "keep": {"token": "token"},
        "again_on": [401, 403],
    },
    "every": {"headers": {"X-Token": "{login.token}"}},
}


class Guard:
    """Lets in only those who have the newest token."""

    def __init__(self, oven: Oven) -> None:
        self.logins = 0
        self.accepts_logins = True
        self.sent: list[str] = []
        oven.answer = self.answer

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/login":
            self.logins += 1
            if not self.accepts_logins:
                return web.json_response({"error": f"No: {PASSWORD}"}, status=401)
            return web.json_response({"token": f"t{self.logins}"})
        self.sent.append(f"{request.method} {request.headers.get('X-Token')}")
        if request.headers.get("X-Token") != f"t{self.logins}":
            return web.json_response({}, status=403)
        return web.json_response({"id": "7", "state": "baking"})

    def end_token(self) -> None:
        self.logins += 1


@pytest.fixture
def guard(oven: Oven) -> Guard:
    return Guard(oven)


@pytest.fixture
async def twins(
    oven: Oven, tmp_path: Any, redis_url: str, clean_redis: Any
) -> AsyncIterator[list[HttpBackend]]:
    """The same backend in two processes, over one Redis."""
    path = tmp_path / "oven.toml"
    path.write_text(
        f'''
title = "Oven"
url = "{oven.url}"
[login]
request = "POST /login"
keep.token = "token"
again_on = [403]
[every.headers]
X-Token = "{{login.token}}"
[start]
request = "POST /loaves"
ref = "id"
[status]
request = "GET /loaves/{{ref}}"
state = "state"
states = {{ running = ["baking"], succeeded = ["baked"], failed = [] }}
'''
    )
    made = [
        HttpBackend(
            "oven",
            load_recipe(path, {}),
            200,
            2000,
            shelf=TokenShelf(redis_url, "test-login", "oven"),
        )
        for _ in range(2)
    ]
    yield made
    for backend in made:
        await backend.close()
    clean_redis.delete(*clean_redis.keys("test-login:*"))


async def reported(backend: HttpBackend) -> Report | BackendError:
    [answer] = await backend.reports([Handle("7")])
    return answer


async def test_one_login_serves_all_calls(guard: Guard, backend: Backend) -> None:
    ours = backend(**BY_TOKEN)

    await ours.start("our-id", {})
    assert isinstance(await reported(ours), Report)
    await ours.send(Action.CANCEL, Handle("7"))

    assert guard.logins == 1
    assert guard.sent == ["POST t1", "GET t1", "DELETE t1"]


async def test_a_token_that_ends_is_renewed_and_the_call_sent_again(
    guard: Guard, backend: Backend
) -> None:
    ours = backend(**BY_TOKEN)
    await reported(ours)
    guard.end_token()

    begun = await ours.start("our-id", {})

    assert begun.ref == "7"
    assert guard.sent == ["GET t1", "POST t1", "POST t3"]


async def test_a_call_that_is_refused_with_a_new_token_too_is_not_sent_for_ever(
    oven: Oven, backend: Backend
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/login":
            return web.json_response({"token": "t"})
        return web.json_response({}, status=403)

    oven.answer = answer

    error = await reported(backend(**BY_TOKEN))

    assert isinstance(error, BackendError)
    assert error.code == "http_403"
    assert len(oven.asked) == 4  # login, call, login, call


async def test_tokens_that_are_all_refused_are_not_asked_for_with_each_call(
    oven: Oven, backend: Backend
) -> None:
    logins = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal logins
        logins += request.path == "/login"
        is_login = request.path == "/login"
        status = 200 if is_login or request.method == "DELETE" else 403
        return web.json_response({"token": f"t{logins}"}, status=status)

    oven.answer = answer
    ours = backend(**BY_TOKEN)

    for _ in range(5):
        errors = await asyncio.gather(*(reported(ours) for _ in range(4)))
        assert {e.code for e in errors if isinstance(e, BackendError)} == {"http_403"}
        await ours.send(Action.CANCEL, Handle("7"))  # others may be allowed

    assert logins == 2


async def test_a_download_renews_a_token_that_has_ended(
    guard: Guard, backend: Backend
) -> None:
    ours = backend(**BY_TOKEN, result={"request": "GET /loaves/{ref}/photo"})
    await reported(ours)
    guard.end_token()

    async with ours.result(Handle("7")) as file:
        content = b"".join([chunk async for chunk in file.chunks()])

    assert b"baking" in content
    assert guard.sent == ["GET t1", "GET t1", "GET t3"]


@pytest.mark.parametrize("token", ["a\nb", "a\r\nX-Other: b"])
async def test_a_token_of_two_lines_ends_no_job(
    oven: Oven, backend: Backend, token: str
) -> None:
    oven.says({"token": token, "state": "baking"})

    error = await reported(backend(**BY_TOKEN))

    assert isinstance(error, BackendError)
    assert (error.code, error.permanent) == ("login_refused", False)


async def test_a_recipe_for_another_service_gets_no_token_of_the_old_one(
    oven: Oven, tmp_path: Path, redis_url: str, clean_redis: Redis
) -> None:
    sent = []

    async def answer(request: web.Request) -> web.Response:
        sent.append((request.path, request.headers.get("X-Token")))
        return web.json_response({"token": request.path, "state": "baking"})

    oven.answer = answer
    path = tmp_path / "oven.toml"
    for name in ("old", "new"):
        tables = OVEN | BY_TOKEN | {"url": f"{oven.url}/{name}"}
        path.write_text("\n".join(f"{k} = {toml(v)}" for k, v in tables.items()))
        variables = {"PROGROCK_RECIPES": str(tmp_path), "REDIS_URL": redis_url}
        backends = Backends.read(Settings.read(variables))
        [answered] = await backends["oven"].reports([Handle("7")])
        await backends.close()
        assert isinstance(answered, Report)

    assert sent[2:] == [("/new/login", None), ("/new/loaves/7", "/new/login")]


async def test_a_refused_login_is_a_miss_that_is_not_repeated_at_once(
    guard: Guard, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    guard.accepts_logins = False
    ours = backend(**BY_TOKEN)

    with caplog.at_level(logging.DEBUG):
        errors = [await reported(ours) for _ in range(5)]

    assert guard.logins == 1
    for error in errors:
        assert isinstance(error, BackendError)
        assert (error.code, error.permanent) == ("login_refused", False)
        assert PASSWORD not in str(error)
    assert caplog.text.count("refused our login") == 1
    assert PASSWORD not in caplog.text


async def test_two_processes_share_one_login(
    guard: Guard, twins: list[HttpBackend]
) -> None:
    for backend in twins:
        assert isinstance(await reported(backend), Report)
    assert guard.logins == 1

    guard.end_token()
    for backend in twins:
        assert isinstance(await reported(backend), Report)

    assert guard.logins == 3  # the one that ended, and one for both


async def test_a_token_may_be_in_the_answer_that_refuses(
    oven: Oven, backend: Backend
) -> None:
    sent = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("X-Session-Id"))
        if sent[-1] != "s1":
            return web.Response(status=409, headers={"X-Session-Id": "s1"})
        return web.json_response({"state": "baking"})

    oven.answer = answer
    ours = backend(
        login={"keep": {"id": {"header": "X-Session-Id"}}, "again_on": [409]},
        every={"headers": {"X-Session-Id": "{login.id}"}},
    )

    for _ in range(2):
        assert isinstance(await reported(ours), Report)

    assert sent == [None, "s1", "s1"]


async def test_a_token_may_be_a_cookie(oven: Oven, backend: Backend) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/login":
            set_cookie = {"Set-Cookie": "SID=abc; HttpOnly; path=/"}
            return web.Response(text="Ok.", headers=set_cookie)
        is_in = request.headers.get("Cookie") == "SID=abc"
        return web.json_response({"state": "baking"}, status=200 if is_in else 403)

    oven.answer = answer
    ours = backend(
        login={
            "request": "POST /login",
            "form": {"password": PASSWORD},
            "keep": {"sid": {"header": "Set-Cookie"}},
        },
        every={"headers": {"Cookie": "{login.sid}"}},
    )

    assert isinstance(await reported(ours), Report)


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"every": {"headers": {"X": "{login.token}"}}}, "no login keeps 'token'"),
        (
            BY_TOKEN | {"every": {"headers": {"X": "{login.tokn}"}}},
            "did you mean `token`?",
        ),
        (
            BY_TOKEN | {"cancel": {"request": "DELETE /x/{ref}/{login.token}"}},
            "belongs into a header, the query or the body",
        ),
        (
            {"login": {"request": "POST /{job}", "keep": {"token": "x"}}},
            "{job} is not known in this call - at `$.login`",
        ),
        ({"login": {"request": "POST /login"}}, "the key `keep` is missing"),
    ],
)
def test_a_slip_in_a_login_is_found_when_it_is_loaded(
    backend: Backend, changes: dict[str, Any], mistake: str
) -> None:
    with pytest.raises(RecipeError) as error:
        backend(**OVEN | changes)

    assert mistake in str(error.value)
