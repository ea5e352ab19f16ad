"""How the HTTP backend starts a job, against a little real server."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from actors.backends import BackendError, Report

from .support.oven import (
    BY_ADDRESS,
    SECRET,
    Backend,
    Oven,
    refusal,
    report,
    start_refusal,
)


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
