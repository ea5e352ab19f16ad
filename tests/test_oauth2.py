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
from dramatiq.brokers.stub import StubBroker

from actors.backends import BackendError, Report
from actors.backends.http import HttpBackend
from actors.recipes.load import RecipeError, load_recipe
from actors.store import Store
from actors.store.keys import login_key
from actors.store.tokens import TokenShelf

from .support.kitchen import working
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
        self.hangs = False
        self.broken: int | None = None
        self.refused_calls = 0
        self.state = "baking"
        self.starts = 0
        oven.answer = self.answer

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/oauth/token":
            return await self.give(request)
        if request.headers.get("Authorization") != f"Bearer {self.newest}":
            self.refused_calls += 1
            return web.json_response({}, status=401)
        self.starts += request.method == "POST"
        return web.json_response({"id": "7", "state": self.state})

    async def give(self, request: web.Request) -> web.Response:
        form = parse_qs((await request.read()).decode())
        self.asked.append((form, request.headers.get("Authorization")))
        assert request.headers.get("X-Own") is None
        if self.hangs:
            await asyncio.sleep(60)
        if self.broken:
            return web.Response(status=self.broken)
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
async def shelved(
    oven: Oven, tmp_path: Path, redis_url: str, clean_redis: Any
) -> AsyncIterator[Backend]:
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

    [key] = clean_redis.keys("*:login:{oven}")
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


@pytest.mark.parametrize("is_shared", [False, True])
async def test_a_short_token_is_renewed_before_the_service_refuses_it(
    oven: Oven, issuer: Issuer, backend: Backend, shelved: Backend, is_shared: bool
) -> None:
    issuer.expires_in = 2
    ours = (shelved if is_shared else backend)(**tables(oven))

    async with asyncio.timeout(5):
        while issuer.given < 3:
            assert isinstance(await report(ours), Report)

    assert issuer.refused_calls == 0


async def test_many_processes_ask_for_one_token(
    oven: Oven, issuer: Issuer, shelved: Backend, clean_redis: Any
) -> None:
    processes = [shelved(**tables(oven)) for _ in range(5)]

    for lap in range(1, 4):
        reports = await asyncio.gather(*(report(each) for each in processes * 3))
        assert all(isinstance(each, Report) for each in reports)
        assert issuer.given == 2 * lap - 1
        issuer.newest = "another"  # it has ended early
        reports = await asyncio.gather(*(report(each) for each in processes * 3))
        assert all(isinstance(each, Report) for each in reports)
        assert issuer.given == 2 * lap
        clean_redis.delete(*clean_redis.keys("*:login:{oven}"))
        processes = [shelved(**tables(oven)) for _ in range(5)]


async def test_a_process_that_dies_while_it_logs_in_holds_up_no_other_for_long(
    oven: Oven, issuer: Issuer, shelved: Backend, clean_redis: Any
) -> None:
    clean_redis.set(f"{login_key('progrock', 'oven')}:turn", 1, px=500)

    assert isinstance(await report(shelved(**tables(oven))), Report)


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ({"hangs": True}, "timeout"),
        ({"broken": 503}, "http_503"),
        ({"broken": 302}, "login_refused"),
        ({"refuses": True}, "login_refused"),
    ],
)
async def test_a_token_that_is_not_given_lets_a_start_be_sent_later(
    oven: Oven, issuer: Issuer, backend: Backend, trouble: dict[str, Any], code: str
) -> None:
    for name, value in trouble.items():
        setattr(issuer, name, value)
    ours = backend(**tables(oven), timeout_s=0.3)

    with pytest.raises(BackendError) as error:
        await ours.start("our-id", {})

    assert (error.value.code, error.value.permanent) == (code, False)
    assert issuer.starts == 0


async def test_calls_do_not_wait_one_after_the_other_for_a_login_that_hangs(
    oven: Oven, issuer: Issuer, backend: Backend
) -> None:
    issuer.hangs = True
    ours = backend(**tables(oven), timeout_s=0.3)

    errors = await asyncio.gather(*(report(ours) for _ in range(50)))

    assert {error.code for error in errors if isinstance(error, BackendError)} == {
        "timeout"
    }
    assert len(issuer.asked) == 1


async def test_a_job_goes_on_when_its_login_works_again(
    oven: Oven, issuer: Issuer, backend: Backend, store: Store, redis_url: str
) -> None:
    ours = backend(**tables(oven))
    broker = StubBroker(middleware=[])

    async with working(broker, store, ours, redis_url, 10) as kitchen:
        job = await kitchen.submit()
        await kitchen.until(job, lambda job: job.status == "running" and job.reachable)
        issuer.broken, issuer.newest = 503, "another"
        await kitchen.until(job, lambda job: not job.reachable)
        issuer.broken, issuer.state = None, "baked"
        ended = await kitchen.end(job)

    assert ended.status == "succeeded"
    assert issuer.starts == 1


async def test_a_token_that_the_service_repeats_is_hidden(
    oven: Oven, tmp_path: Path
) -> None:
    token, told = "token-of-an-hour", []

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/oauth/token":
            return web.json_response({"access_token": token})
        said = {"state": "baking", "note": f"{token} bakes", "id": "7"}
        return web.json_response(said, headers={"X-Token": token})

    oven.answer = answer
    path = tmp_path / "oven.toml"
    recipe = OVEN | {"url": oven.url} | tables(oven)
    path.write_text("\n".join(f"{key} = {toml(each)}" for key, each in recipe.items()))
    ours = HttpBackend("oven", load_recipe(path, {}), 200, 2000, told.append)

    seen = await report(ours)
    await ours.close()

    assert isinstance(seen, Report)
    assert seen.message == "… bakes"
    assert [each.headers["x-token"] for each in told] == ["…"]
    assert token not in str(told)


@pytest.mark.parametrize("escaped", [r"ab\/c+d==", r"ab/c\u002Bd\u003d="])
async def test_a_token_that_is_repeated_with_escapes_is_hidden(
    oven: Oven, backend: Backend, escaped: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/oauth/token":
            return web.json_response({"access_token": "ab/c+d=="})
        said = f'{{"state": "baking", "note": "{escaped} is bad"}}'
        return web.Response(text=said)

    oven.answer = answer

    seen = await report(backend(**tables(oven)))

    assert isinstance(seen, Report)
    assert seen.message == "… is bad"


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ({"keep": {}}, "the key `keep` is missing, or `oauth2` - at `$.login`"),
        ({"keep": {"token": "t"}, "oauth2": {}}, "needs no other call"),
        ({"request": "POST /login", "oauth2": {}}, "needs no other call"),
        ({"oauth2": {"url": "ftp://id"}}, "must be an https address"),
        ({"oauth2": {"url": "http://id.example/t"}}, "must be an https address"),
        ({"oauth2": {"url": "http://localhost.example/"}}, "must be an https address"),
        ({"oauth2": {"url": "https://a:b@id.example"}}, "without a user"),
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
