"""The HTTP backend against a little real server: each answer, and each failure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from actors.backends import BackendError, Report
from actors.backends.http import HttpBackend
from actors.job import Problem, Status
from actors.recipes.format import load_recipe
from dev.redis import free_port

SECRET = "hunter2"
OVEN: dict[str, Any] = {
    "title": "Oven",
    "unit": "loaves",
    "headers": {"Authorization": f"Bearer {SECRET}"},
    "start": {"request": "POST /loaves", "ref": {"body": "id"}},
    "status": {
        "request": "GET /loaves/{ref}",
        "state": "state",
        "done": "done",
        "total": "of.all",
        "message": "note",
        "error": "why",
        "states": {"running": ["baking"], "succeeded": ["baked"], "failed": ["burnt"]},
    },
    "cancel": {"request": "DELETE /loaves/{ref}"},
}
BY_ADDRESS = {
    "start": {"request": "POST /loaves", "ref": {"header": "Location"}},
    "status": OVEN["status"] | {"request": "GET {ref}"},
    "cancel": {"request": "DELETE {ref}"},
    "result": {"request": "GET {ref}/photo.png", "content_type": "image/png"},
}
IN_BULK = {"bulk": {"request": "GET /all?ids={refs}", "items": "loaves", "ref": "id"}}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Backend = Callable[..., HttpBackend]


@dataclass
class Oven:
    """A service that answers as it is told to."""

    port: int
    answer: Answer | None = None
    asked: list[web.Request] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def says(self, body: Any = None, status: int = 200, **headers: str) -> None:
        """Answer everything so; bytes are sent as they are, the rest as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): text for name, text in headers.items()}

        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=raw, status=status, headers=named)

        self.answer = answer

    async def hear(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.read())
        assert self.answer is not None
        return await self.answer(request)


@pytest.fixture
async def oven() -> AsyncIterator[Oven]:
    oven = Oven(free_port())
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", oven.hear)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", oven.port).start()
    yield oven
    await runner.cleanup()


@pytest.fixture
async def backend(oven: Oven, tmp_path: Path) -> AsyncIterator[Backend]:
    """Make a backend on the oven; keywords replace tables of its recipe."""
    made = []

    def make(**changes: Any) -> HttpBackend:
        tables = OVEN | {"url": oven.url} | changes
        path = tmp_path / "oven.toml"
        path.write_text("\n".join(f"{k} = {toml(v)}" for k, v in tables.items()))
        made.append(HttpBackend("oven", load_recipe(path, {}), 200, 2000))
        return made[-1]

    yield make
    for backend in made:
        await backend.close()


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


async def report(backend: HttpBackend, ref: str = "7") -> Report | BackendError:
    [answer] = await backend.reports([ref])
    return answer


async def refusal(backend: HttpBackend, ref: str = "7") -> BackendError:
    """The error that asking for a job's status gives."""
    error = await report(backend, ref)
    assert isinstance(error, BackendError)
    assert is_sentence(error)
    return error


async def start_refusal(backend: HttpBackend) -> BackendError:
    with pytest.raises(BackendError) as refused:
        await backend.start("a-job", {})
    assert is_sentence(refused.value)
    return refused.value


def is_sentence(error: BackendError) -> bool:
    """For people: whole, in one line, without an address or a secret."""
    text = error.message
    return (
        text[0].isupper()
        and text.endswith(".")
        and not any(hint in text for hint in ("\n", "://", "127.0.0.1", SECRET))
    )


# Starting


async def test_a_start_sends_the_params_once_and_with_a_key(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"id": "loaf-7"}, 201)

    ref = await backend().start("a-job", {"loaves": 2})

    [request] = oven.asked
    assert ref == "loaf-7"
    assert (request.method, request.path) == ("POST", "/loaves")
    assert json.loads(oven.bodies[0]) == {"loaves": 2}
    assert request.content_type == "application/json"
    assert request.headers["Idempotency-Key"] == "a-job"
    assert request.headers["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(("id", "ref"), [("a b/c", "a b/c"), (7, "7"), (0, "0")])
async def test_a_start_takes_the_id_out_of_the_body(
    oven: Oven, backend: Backend, id: str | int, ref: str
) -> None:
    oven.says({"id": id})

    assert await backend().start("a-job", {}) == ref


async def test_a_start_may_give_the_id_in_a_header(
    oven: Oven, backend: Backend
) -> None:
    oven.says({}, X_Loaf="loaf-7")
    start = {"request": "POST /loaves", "ref": {"header": "X-Loaf"}}

    assert await backend(start=start).start("a-job", {}) == "loaf-7"


@pytest.mark.parametrize("id", [None, "", [], {}, 1.5])
async def test_a_start_without_an_id_is_final(
    oven: Oven, backend: Backend, id: object
) -> None:
    oven.says({"id": id})

    error = await start_refusal(backend())

    assert (error.code, error.permanent) == ("unexpected_answer", True)


@pytest.mark.parametrize(
    ("location", "ref"),
    [
        ("/loaves/7", "/loaves/7"),
        ("loaves/7?x=1", "/loaves/7?x=1"),
        ("{url}/loaves/7", "/loaves/7"),
        ("//127.0.0.1:{port}/loaves/7", "/loaves/7"),
    ],
)
async def test_a_location_on_the_same_origin_is_followed(
    oven: Oven, backend: Backend, location: str, ref: str
) -> None:
    oven.says(status=202, Location=location.format(url=oven.url, port=oven.port))
    ours = backend(**BY_ADDRESS)

    assert await ours.start("a-job", {}) == ref

    oven.says({"state": "baking"})
    assert isinstance(await report(ours, ref), Report)
    assert str(oven.asked[-1].rel_url) == ref


FOREIGN = [
    *("http://evil.example/loaves/7", "//evil.example/7", "https://127.0.0.1/7"),
    *("http://127.0.0.1/7", "http://user@127.0.0.1/7", "file:///etc/passwd"),
]


@pytest.mark.parametrize("location", FOREIGN)
async def test_a_location_on_another_server_is_refused(
    oven: Oven, backend: Backend, location: str
) -> None:
    oven.says(status=202, Location=location)

    error = await start_refusal(backend(**BY_ADDRESS))

    assert (error.code, error.permanent) == ("foreign_location", True)


async def test_an_address_in_a_body_may_not_leave_the_server_either(
    oven: Oven, backend: Backend
) -> None:
    start = {"request": "POST /loaves", "ref": {"body": "href"}}
    ours = backend(**(BY_ADDRESS | {"start": start}))

    oven.says({"href": "/loaves/7"})
    assert await ours.start("a-job", {}) == "/loaves/7"

    for address in FOREIGN:
        oven.says({"href": address})
        assert (await start_refusal(ours)).code == "foreign_location"

    for address in ("@evil.example/", ".evil.example/", ":80@evil.example"):
        oven.says({"href": address})
        ref = await ours.start("a-job", {})
        assert ref.startswith("/")


@pytest.mark.parametrize("location", ["", "http://[", None])
async def test_a_start_without_a_location_is_final(
    oven: Oven, backend: Backend, location: str | None
) -> None:
    headers = {} if location is None else {"Location": location}
    oven.says(status=202, **headers)

    error = await start_refusal(backend(**BY_ADDRESS))

    assert (error.code, error.permanent) == ("unexpected_answer", True)


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        *((400, True), (401, True), (404, True), (409, True), (422, True)),
        *((429, False), (500, False), (502, False), (503, False), (504, False)),
    ],
)
async def test_a_start_that_is_refused_is_final_where_it_is_our_fault(
    oven: Oven, backend: Backend, status: int, permanent: bool
) -> None:
    oven.says(b"<h1>No</h1>", status)

    error = await start_refusal(backend())

    assert (error.code, error.permanent) == (f"http_{status}", permanent)
    assert error.message == f"Oven answered with {status}."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"detail": "Too many loaves."}, "Too many loaves."),
        ({"error": "Too many loaves."}, "Too many loaves."),
        ({"error": {"message": "Too many loaves."}}, "Too many loaves."),
        ({"message": "Too many loaves."}, "Too many loaves."),
        ({"title": "Bad"}, "Oven answered with 422."),
        ({"detail": 7}, "Oven answered with 422."),
        (["Too many"], "Oven answered with 422."),
        (b'"\xff"', "Oven answered with 422."),
        (b"[" * 50_000, "Oven answered with 422."),
    ],
)
async def test_what_a_refusal_says_is_passed_on(
    oven: Oven, backend: Backend, body: Any, message: str
) -> None:
    oven.says(body, 422)

    assert (await start_refusal(backend())).message == message


async def test_a_long_refusal_is_cut(oven: Oven, backend: Backend) -> None:
    oven.says({"detail": "x" * 10_000}, 422)

    with pytest.raises(BackendError) as refused:
        await backend().start("a-job", {})

    assert len(refused.value.message) == 500


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (formatdate(1, usegmt=True), 0),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("²", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0),
        ("Wed, 21 Oct 2015 07:28:00", 0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("9" * 400, float("inf")),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_may_say_when_to_come_back(
    oven: Oven, backend: Backend, header: str, seconds: float | None, status: int
) -> None:
    oven.says(status=status, Retry_After=header)

    for error in (await start_refusal(backend()), await refusal(backend())):
        assert not error.permanent
        assert error.retry_after_s == seconds


async def test_a_busy_server_may_give_a_date(oven: Oven, backend: Backend) -> None:
    oven.says(status=503, Retry_After=formatdate(time.time() + 60, usegmt=True))

    seconds = (await refusal(backend())).retry_after_s

    assert seconds is not None
    assert 55 < seconds <= 60


# Asking


async def test_a_report_is_read_as_the_recipe_says(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"state": "baking", "done": 3, "of": {"all": 8}, "note": "Smells good."})

    assert await report(backend(), "a b/c") == Report(
        status=Status.RUNNING, done=3, total=8, unit="loaves", message="Smells good."
    )
    assert oven.asked[0].rel_url.raw_path == "/loaves/a%20b%2Fc"


async def test_a_success_has_its_values(oven: Oven, backend: Backend) -> None:
    oven.says({"state": "baked", "weight": 750})
    result = {"values": {"grams": "weight", "colour": "colour"}}

    answer = await report(backend(result=result))

    assert isinstance(answer, Report)
    assert answer.status is Status.SUCCEEDED
    assert answer.result == {"grams": 750, "colour": None}


@pytest.mark.parametrize(
    ("said", "message"),
    [("Too hot.", "Too hot."), (None, "Oven could not finish it."), (7, None)],
)
async def test_a_failure_says_why(
    oven: Oven, backend: Backend, said: object, message: str | None
) -> None:
    oven.says({"state": "burnt", "why": said})

    answer = await report(backend())

    assert isinstance(answer, Report)
    assert answer.status is Status.FAILED
    assert answer.error == Problem(
        "backend_failed", message or "Oven could not finish it."
    )


@pytest.mark.parametrize("odd", [None, "3", True, [3], {}, 1e300, -(10**400) // 3])
async def test_an_odd_number_is_as_good_as_none(
    oven: Oven, backend: Backend, odd: object
) -> None:
    oven.says({"state": "baking", "done": odd, "of": {"all": 8}, "note": odd})

    answer = await report(backend())

    assert isinstance(answer, Report)
    assert answer.done is None
    assert answer.percentage is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"state": "baki"}, 200),
        ({"state": None}, 200),
        ({"state": ["baking"]}, 200),
        ({"state": 1}, 200),
        ([], 200),
        (None, 200),
        ("baking", 200),
        (b"", 200),
        (b"", 204),
        (b'{"state": "bak', 200),
        (b'{"state": "\xff"}', 200),
        (b'{"state": NaN}', 200),
        (b"<html>", 200),
        (b"[" * 50_000, 200),
        (b'{"done": 1e999}', 200),
    ],
)
async def test_an_answer_that_makes_no_sense_is_an_error_that_may_pass(
    oven: Oven, backend: Backend, body: object, status: int
) -> None:
    oven.says(body, status)

    error = await refusal(backend())

    assert (error.code, error.permanent) == ("unexpected_answer", False)


async def test_half_an_answer_is_an_error_that_may_pass(
    oven: Oven, backend: Backend
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"state": ')
        assert request.transport
        request.transport.close()
        return response

    oven.answer = answer

    error = await refusal(backend())

    assert (error.code, error.permanent) == ("unreachable", False)


async def test_a_false_encoding_is_an_error_that_may_pass(
    oven: Oven, backend: Backend
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        await response.write(b"this is not gzip")
        return response

    oven.answer = answer

    assert not (await refusal(backend())).permanent


async def test_an_endless_answer_is_cut_off_at_a_megabyte(
    oven: Oven, backend: Backend
) -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 100_000_000:
            await response.write(b" " * 100_000)
            sent += 100_000
        return response

    oven.answer = answer

    error = await refusal(backend())

    assert (error.code, error.permanent) == ("too_large", False)
    assert sent < 20_000_000  # what fits in the sockets' buffers beside our megabyte


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(status=status, Location="/loaves/7")

    error = await refusal(backend())

    assert (error.code, error.permanent) == (f"http_{status}", False)
    assert len(oven.asked) == 1


@pytest.mark.parametrize("status", [404, 410])
async def test_a_job_that_the_server_does_not_know_is_gone(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(status=status)

    error = await refusal(backend())

    assert (error.code, error.permanent) == ("gone", True)


@pytest.mark.parametrize("status", [400, 401, 403, 405, 429, 500, 502, 503])
async def test_other_refusals_of_a_status_may_pass(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(status=status)

    error = await refusal(backend())

    assert (error.code, error.permanent) == (f"http_{status}", False)


async def test_a_recipe_says_which_answers_are_final(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(status=OVEN["status"] | {"final": [403]})

    oven.says(status=403)
    assert (await refusal(ours)).permanent

    oven.says(status=404)
    assert not (await refusal(ours)).permanent


async def test_nobody_at_the_address_is_an_error_that_may_pass(
    backend: Backend,
) -> None:
    nobody = backend(url=f"http://127.0.0.1:{free_port()}")

    for error in (await refusal(nobody), await start_refusal(nobody)):
        assert (error.code, error.permanent) == ("unreachable", False)
        assert error.message == "Oven cannot be reached. Try again later."


async def test_a_server_that_takes_too_long_is_not_waited_for(
    oven: Oven, backend: Backend
) -> None:
    never = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    oven.answer = answer
    ours = backend(timeout_s=0.05)

    async with asyncio.timeout(2):
        errors = (await refusal(ours), await start_refusal(ours))

    for error in errors:
        assert (error.code, error.permanent) == ("timeout", False)
        assert error.message == "Oven takes too long."


async def test_a_server_that_trickles_takes_too_long_too(
    oven: Oven, backend: Backend
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    oven.answer = answer

    async with asyncio.timeout(2):
        assert (await refusal(backend(timeout_s=0.1))).code == "timeout"


# Asking for many


async def test_many_are_asked_for_at_once_and_told_in_order(
    oven: Oven, backend: Backend
) -> None:
    oven.says(
        {
            "loaves": [
                {"id": 9, "state": "baking", "done": 1},
                {"id": "b/c", "state": "baked"},
                {"id": "7", "state": "odd"},
                {"id": "stranger", "state": "baking"},
                {"id": ["odd"], "state": "baking"},
                "odd",
                None,
            ]
        }
    )
    ours = backend(**IN_BULK)

    answers = await ours.reports(["7", "b/c", "missing", "9"])

    assert str(oven.asked[0].rel_url) == "/all?ids=7,b%2Fc,missing,9"
    odd, baked, missing, baking = answers
    assert isinstance(odd, BackendError)
    assert (odd.code, odd.permanent) == ("unexpected_answer", False)
    assert isinstance(baked, Report)
    assert baked.status is Status.SUCCEEDED
    assert isinstance(missing, BackendError)
    assert (missing.code, missing.permanent) == ("gone", True)
    assert isinstance(baking, Report)
    assert baking.done == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"loaves": None}, 200),
        ({"loaves": {"7": {}}}, 200),
        ({"loaves": 7}, 200),
        ({}, 200),
        (b"<html>", 200),
        ({}, 404),
        ({}, 500),
        ({}, 302),
    ],
)
async def test_a_call_for_many_that_fails_fails_for_each_and_may_pass(
    oven: Oven, backend: Backend, body: object, status: int
) -> None:
    oven.says(body, status)

    answers = await backend(**IN_BULK).reports(["7", "8"])

    assert len(answers) == 2
    for error in answers:
        assert isinstance(error, BackendError)
        assert is_sentence(error)
        assert not error.permanent


async def test_an_empty_list_says_that_all_are_gone(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"loaves": []})

    [error] = await backend(**IN_BULK).reports(["7"])

    assert isinstance(error, BackendError)
    assert error.code == "gone"


# Stopping


@pytest.mark.parametrize("status", [200, 202, 204, 404, 409, 410])
async def test_a_cancel_of_a_job_that_has_ended_is_fine(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(b"", status)

    await backend().cancel("a b/c")

    [request] = oven.asked
    assert request.method == "DELETE"
    assert request.rel_url.raw_path == "/loaves/a%20b%2Fc"


@pytest.mark.parametrize("status", [400, 401, 405, 429, 500, 503])
async def test_a_cancel_that_is_refused_may_be_tried_again(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(b"", status, Retry_After="3")

    with pytest.raises(BackendError) as refused:
        await backend().cancel("7")

    assert is_sentence(refused.value)
    assert not refused.value.permanent
    assert refused.value.retry_after_s == 3


# What was made


async def test_a_file_is_streamed(oven: Oven, backend: Backend) -> None:
    photo = bytes(range(256)) * 1000
    oven.says(photo, Content_Type="text/html")
    ours = backend(**BY_ADDRESS)

    async with ours.result("/loaves/7") as file:
        chunks = [chunk async for chunk in file.chunks()]

    assert (file.content_type, file.length) == ("image/png", len(photo))
    assert b"".join(chunks) == photo
    assert len(chunks) > 1
    assert oven.asked[0].path == "/loaves/7/photo.png"


@pytest.mark.parametrize("status", [204, 302, 404, 500])
async def test_a_file_that_cannot_be_had_is_an_error(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(b"", status)

    with pytest.raises(BackendError) as refused:
        async with backend(**BY_ADDRESS).result("/loaves/7"):
            pytest.fail("There is no file.")

    assert is_sentence(refused.value)


async def test_a_recipe_without_a_file_has_none(backend: Backend) -> None:
    with pytest.raises(BackendError, match="makes no file"):
        async with backend().result("7"):
            pytest.fail("There is no file.")


async def test_a_backend_that_was_never_asked_can_be_closed(backend: Backend) -> None:
    await backend().close()
