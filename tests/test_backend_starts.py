"""How the HTTP backend starts a job, against a little real server."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web

from actors.backends import BackendError, Report
from actors.backends.addresses import origin
from dev.redis import free_port

from .support.oven import (
    BY_ADDRESS,
    OVEN,
    SECRET,
    Answer,
    Backend,
    Oven,
    refusal,
    report,
    start_refusal,
)

BY_ID = OVEN["start"]


async def test_a_start_sends_the_params_once_and_with_a_key(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"id": "loaf-7"}, 201)

    ref = (await backend().start("a-job", {"loaves": 2})).ref

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

    assert (await backend().start("a-job", {})).ref == ref


async def test_a_start_may_give_the_id_in_a_header(
    oven: Oven, backend: Backend
) -> None:
    oven.says({}, X_Loaf="loaf-7")
    start = {"request": "POST /loaves", "ref": {"header": "X-Loaf"}}

    assert (await backend(start=start).start("a-job", {})).ref == "loaf-7"


@pytest.mark.parametrize("id", [None, "", [], {}, 1.5, True])
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

    assert (await ours.start("a-job", {})).ref == ref

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
    assert (await ours.start("a-job", {})).ref == "/loaves/7"

    for address in FOREIGN:
        oven.says({"href": address})
        assert (await start_refusal(ours)).code == "foreign_location"

    for address in ("@evil.example/", ".evil.example/", ":80@evil.example"):
        oven.says({"href": address})
        ref = (await ours.start("a-job", {})).ref
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
        *((status, True) for status in (301, 302, 303, 307, 308)),
        *((400, True), (401, True), (404, True), (409, True), (422, True)),
        *((408, False), (425, False), (429, False)),
    ],
)
@pytest.mark.parametrize("repeat", ["never", "safe"])
async def test_a_start_that_is_refused_is_final_unless_it_was_too_soon(
    oven: Oven, backend: Backend, status: int, permanent: bool, repeat: str
) -> None:
    """A redirect is no success either: nothing has begun."""
    oven.says(b"<h1>No</h1>", status, Location="/loaves/")

    error = await start_refusal(backend(start=BY_ID | {"repeat": repeat}))

    assert (error.code, error.permanent) == (f"http_{status}", permanent)
    assert error.message == f"Oven answered with {status}."
    assert len(oven.asked) == 1


# A start whose answer is lost


async def never(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


async def hung_up(request: web.Request) -> web.StreamResponse:
    assert request.transport
    request.transport.close()
    return web.Response()


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"id": ')
    assert request.transport
    request.transport.close()
    return response


async def far_too_much(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b" " * 2_000_000)


async def failing(request: web.Request) -> web.StreamResponse:
    return web.Response(status=504, text="<h1>504</h1>")


LOST = {
    "timeout": never,
    "unreachable": hung_up,
    "http_504": failing,
    "too_large": far_too_much,
}


@pytest.mark.parametrize("answer", [*LOST.values(), half])
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
async def test_a_start_that_may_have_been_heard_is_not_sent_again(
    oven: Oven, backend: Backend, answer: Answer, method: str
) -> None:
    oven.answer = answer
    start = BY_ID | {"request": f"{method} /loaves"}

    error = await start_refusal(backend(start=start, timeout_s=0.3))

    assert (error.code, error.permanent) == ("start_unknown", True)
    assert "may be running there" in error.message
    assert len(oven.asked) == 1


@pytest.mark.parametrize("code", LOST)
async def test_it_may_be_sent_again_if_the_recipe_says_that_this_is_safe(
    oven: Oven, backend: Backend, code: str
) -> None:
    oven.answer = LOST[code]
    start = BY_ID | {"repeat": "safe"}

    error = await start_refusal(backend(start=start, timeout_s=0.3))

    assert (error.code, error.permanent) == (code, False)


@pytest.mark.parametrize("body", [b"Started 1", b"", b"<html>", b"[" * 50_000])
@pytest.mark.parametrize("repeat", ["never", "safe"])
async def test_a_success_that_cannot_be_read_has_begun_all_the_same(
    oven: Oven, backend: Backend, body: bytes, repeat: str
) -> None:
    oven.says(body, 202)

    error = await start_refusal(backend(start=BY_ID | {"repeat": repeat}))

    assert (error.code, error.permanent) == ("start_unknown", True)


async def test_a_start_that_was_not_sent_may_be_sent_again(backend: Backend) -> None:
    error = await start_refusal(backend(url=f"http://127.0.0.1:{free_port()}"))

    assert (error.code, error.permanent) == ("unreachable", False)


async def test_each_start_has_a_connection_of_its_own(
    oven: Oven, backend: Backend
) -> None:
    """The service may close a kept one just when the start is sent."""
    peers = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response({"id": "7"})

    oven.answer = answer
    ours = backend()
    for _ in range(3):
        await ours.start("a-job", {})

    assert len(peers) == 3


async def test_a_service_that_fails_may_say_that_it_has_refused(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(refused={"when": "error", "says": "error"})

    oven.says({"error": "No such folder."}, 500)
    error = await start_refusal(ours)
    assert (error.code, error.message) == ("refused", "No such folder.")

    oven.says({}, 500)
    assert (await start_refusal(ours)).code == "start_unknown"

    lacking = backend(refused={"when": "status != 'ok'"})
    oven.says({"message": "Bad gateway"}, 502)
    assert (await start_refusal(lacking)).code == "start_unknown"


# The name of the job


@pytest.mark.parametrize("ref", ["id", {"body": "id"}])
async def test_an_expression_alone_is_the_place_of_the_name(
    oven: Oven, backend: Backend, ref: object
) -> None:
    oven.says({"id": "7"})

    assert (await backend(start=BY_ID | {"ref": ref}).start("a-job", {})).ref == "7"


async def test_a_header_that_is_not_utf_8_is_no_name(
    oven: Oven, backend: Backend
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.write(b"HTTP/1.1 200 OK\r\nX-Loaf: M\xe4rz\r\n\r\n")
        request.transport.close()
        return web.Response()

    oven.answer = answer
    start = {"request": "POST /loaves", "ref": {"header": "X-Loaf"}}

    error = await start_refusal(backend(start=start))

    assert (error.code, error.permanent) == ("unexpected_answer", True)


async def test_the_name_may_be_ours(oven: Oven, backend: Backend) -> None:
    oven.says(b"OK")
    start = {
        "request": "POST /loaves",
        "query": {"async": "{job}"},
        "ref": {"value": "x-{job}"},
    }

    assert (await backend(start=start).start("a-job", {})).ref == "x-a-job"
    assert oven.asked[0].query == {"async": "a-job"}


async def test_the_name_may_be_a_link_in_the_answer(
    oven: Oven, backend: Backend
) -> None:
    start = {"request": "POST /loaves", "ref": {"link": "urls.get"}}
    ours = backend(**(BY_ADDRESS | {"start": start}))

    oven.says({"urls": {"get": f"{oven.url}/loaves/7?a=1"}})
    assert (await ours.start("a-job", {})).ref == "/loaves/7?a=1"
    for address in FOREIGN:
        oven.says({"urls": {"get": address}})
        assert (await start_refusal(ours)).code == "foreign_location"


@pytest.mark.parametrize(
    ("id", "ref"), [(7, "7"), ("7", "7"), ("x7", None), (-7, None), (True, None)]
)
async def test_a_name_that_is_a_number_must_be_one(
    oven: Oven, backend: Backend, id: object, ref: str | None
) -> None:
    ours = backend(start=BY_ID | {"ref": {"body": "id", "type": "number"}})
    oven.says({"id": id})

    if ref is None:
        assert (await start_refusal(ours)).code == "unexpected_answer"
    else:
        assert (await ours.start("a-job", {})).ref == ref


# Addresses


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://press.example", "http://press.example:80/jobs/7"),
        ("http://press.example:80", "http://press.example/jobs/7"),
        ("https://press.example/", "https://press.example:443/jobs/7"),
        ("http://press.example", "http://PRESS.example/jobs/7"),
        ("http://Press.example", "HTTP://press.EXAMPLE/jobs/7"),
        ("http://anna:secret@press.example", "http://press.example/jobs/7"),
        ("http://bücher.example", "http://xn--bcher-kva.example/jobs/7"),
        ("http://[::1]:80", "http://[::1]/jobs/7"),
    ],
)
def test_an_origin_may_be_written_in_several_ways(url: str, location: str) -> None:
    assert origin(url) == origin(location)


@pytest.mark.parametrize(
    "location",
    [
        *("https://press.example/jobs/7", "http://press.example:81/jobs/7"),
        *("http://press.example.evil/jobs/7", "http://example/jobs/7"),
        "http://press.example@evil.example/jobs/7",
    ],
)
def test_another_origin_stays_another(location: str) -> None:
    assert origin("http://press.example") != origin(location)


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://127.0.0.1:{port}/", "HTTP://127.0.0.1:{port}/loaves/7"),
        ("http://anna:secret@127.0.0.1:{port}", "http://127.0.0.1:{port}/loaves/7"),
        ("http://localhost:{port}", "http://LOCALHOST:{port}/loaves/7"),
        ("http://127.0.0.1:{port}", "https://public.example:443/loaves/7"),
    ],
)
async def test_a_location_of_the_same_server_is_followed(
    oven: Oven, backend: Backend, url: str, location: str
) -> None:
    """Also of its public name, if the recipe has it."""
    ours = backend(
        **BY_ADDRESS,
        headers={},
        url=url.format(port=oven.port),
        also_known_as=["https://Public.example"],
    )
    oven.says({"state": "baking"}, 202, Location=location.format(port=oven.port))

    assert (await ours.start("a-job", {})).ref == "/loaves/7"
    oven.says({"state": "baking"})
    assert isinstance(await report(ours, "/loaves/7"), Report)


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("/jobs/a b", "/jobs/a%20b"),
        ("/jobs/März", "/jobs/M%C3%A4rz"),
        ("/jobs/a%20b%2Fc?x=1%26", "/jobs/a%20b%2Fc?x=1%26"),
        ('/jobs/"<7>"', "/jobs/%22%3C7%3E%22"),
        ("/jobs/7#top", "/jobs/7"),
        (" /jobs/7 ", "/jobs/7"),
        ("/jobs/a:b@c,(d)", "/jobs/a:b@c,(d)"),
    ],
)
async def test_what_must_be_escaped_in_a_location_is(
    oven: Oven, backend: Backend, location: str, sent: str
) -> None:
    start = {"request": "POST /loaves", "ref": {"body": "href"}}
    ours = backend(**(BY_ADDRESS | {"start": start}))
    oven.says({"href": location, "state": "baking"})

    ref = (await ours.start("a-job", {})).ref
    await report(ours, ref)

    assert oven.asked[-1].rel_url.raw_path_qs == sent


async def test_a_location_may_have_raw_bytes(oven: Oven, backend: Backend) -> None:
    oven.says(status=202, Location="/jobs/März")

    assert (await backend(**BY_ADDRESS).start("a-job", {})).ref == "/jobs/M%C3%A4rz"


# Refusals


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
