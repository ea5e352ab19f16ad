"""More of each kind of fault from the field, as other services make them."""

from __future__ import annotations

import gzip
import socket
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from actors import now_ms
from actors.backends import AbsentError, BackendError, Handle, Report
from actors.backends.addresses import origin
from actors.messages import send_beats
from actors.status import Status
from actors.store.values import BackendState, Change

from .support.kitchen import AWAY, DONE, Kitchen, at
from .support.oven import (
    BY_ADDRESS,
    IN_BULK,
    OVEN,
    Answer,
    Backend,
    Oven,
    handles,
    refusal,
    report,
    start_refusal,
)

BY_ID = OVEN["start"]
TEXT = b"a loaf " * 10_000


# A start whose answer is lost


async def reset_after_the_headers(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=202, headers={"Content-Length": "20"})
    await response.prepare(request)
    assert request.transport
    request.transport.abort()
    return response


async def half_a_chunk(request: web.Request) -> web.StreamResponse:
    assert request.transport
    request.transport.write(
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"
    )
    request.transport.close()
    return web.Response()


async def not_http(request: web.Request) -> web.StreamResponse:
    assert request.transport
    request.transport.write(b"Started 1\r\n\r\n")
    request.transport.close()
    return web.Response()


async def falsely_packed(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b'{"id": 7}', headers={"Content-Encoding": "gzip"})


def failing(status: int, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, text="<h1>No</h1>")

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        *(reset_after_the_headers, half_a_chunk, not_http, falsely_packed),
        *(failing(status) for status in (500, 502, 503, 504, 520, 529)),
        *(failing(status, **{"Retry-After": "1"}) for status in (500, 502, 504)),
    ],
)
async def test_a_start_that_a_service_or_a_proxy_may_have_passed_on_is_not_sent_again(
    oven: Oven, backend: Backend, answer: Answer
) -> None:
    """A proxy may say 503, too, if the service hangs up after it has the start."""
    oven.answer = answer

    error = await start_refusal(backend(timeout_s=0.5))

    assert (error.code, error.permanent) == ("start_unknown", True)
    assert len(oven.asked) == 1


@pytest.mark.parametrize("repeat", ["never", "safe"])
async def test_a_service_that_says_when_to_come_back_has_not_begun(
    oven: Oven, backend: Backend, repeat: str
) -> None:
    oven.says(b"", 503, Retry_After="1")

    error = await start_refusal(backend(start=BY_ID | {"repeat": repeat}))

    assert (error.code, error.permanent, error.retry_after_s) == ("http_503", False, 1)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_safe_start_is_sent_again_whatever_failed(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(b"", status)

    error = await start_refusal(backend(start=BY_ID | {"repeat": "safe"}))

    assert (error.code, error.permanent) == (f"http_{status}", False)


async def test_a_start_whose_body_is_never_read_whole_is_not_sent_again(
    backend: Backend,
) -> None:
    """The time is over while the body is still on its way."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"

        ours = backend(url=url, timeout_s=0.5)
        with pytest.raises(BackendError) as refused:
            await ours.start("a-job", {"dough": "x" * 1_000_000})

    assert (refused.value.code, refused.value.permanent) == ("start_unknown", True)


@pytest.mark.parametrize("status", [408, 425, 429, 503])
async def test_a_second_call_that_fails_does_not_send_the_first_one_again(
    oven: Oven, backend: Backend, status: int
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/loaves":
            return web.json_response({"id": "7"})
        return web.Response(status=status, headers={"Retry-After": "1"})

    oven.answer = answer
    then = {"request": "POST /loaves/{ref}/bake"}

    error = await start_refusal(backend(start=BY_ID | {"then": then}))
    assert (error.code, error.permanent) == ("start_unknown", True)

    safe = BY_ID | {"then": then, "repeat": "safe"}
    error = await start_refusal(backend(start=safe))
    assert (error.code, error.permanent) == (f"http_{status}", False)


# A start that is sent elsewhere


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (300, {"Location": "/loaves/7"}),
        (304, {"ETag": '"7"'}),
        (305, {"Location": "http://proxy.example"}),
        (302, {"Refresh": "0; url=/login"}),
        (303, {"Location": "/loaves/7"}),
        (307, {"Location": "https://oven.example/loaves"}),
    ],
)
@pytest.mark.parametrize("tables", [{}, BY_ADDRESS], ids=["by id", "by address"])
async def test_no_answer_below_400_but_a_success_is_one(
    oven: Oven,
    backend: Backend,
    status: int,
    headers: dict[str, str],
    tables: dict[str, Any],
) -> None:
    """Not even if it has a name for the job."""
    oven.says({"id": "7"} if status != 304 else b"", status, **headers)

    error = await start_refusal(backend(**tables))

    assert (error.code, error.permanent) == (f"http_{status}", True)
    assert len(oven.asked) == 1


async def test_a_recipe_may_say_that_see_other_is_a_success(
    oven: Oven, backend: Backend
) -> None:
    oven.says(b"", 303, Location="/loaves/7")
    start = BY_ADDRESS["start"] | {"accept": [303]}

    ours = backend(**(BY_ADDRESS | {"start": start}))

    assert (await ours.start("a-job", {})).ref == "/loaves/7"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_no_other_request_that_is_redirected_counts_as_heard(
    oven: Oven, backend: Backend, status: int, action: Any
) -> None:
    oven.says(b"", status, Location="/login")
    calls = {name: {"request": f"POST /{name}/{{ref}}"} for name in ("pause", "resume")}
    states = OVEN["status"]["states"] | {"paused": ["resting"]}
    ours = backend(status=OVEN["status"] | {"states": states}, **calls)

    with pytest.raises(BackendError) as refused:
        await ours.send(action, Handle("7"))

    assert refused.value.permanent


# Compressed answers


def gzipped(body: bytes) -> bytes:
    return gzip.compress(body)


def twice(body: bytes) -> bytes:
    return gzip.compress(gzip.compress(body))


def in_two_members(body: bytes) -> bytes:
    return gzip.compress(body[:1000]) + gzip.compress(body[1000:])


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def as_brotli(body: bytes) -> bytes:
    packed: bytes = pytest.importorskip("brotli").compress(body)
    return packed


def as_zstandard(body: bytes) -> bytes:
    packed: bytes = pytest.importorskip("backports.zstd").compress(body)
    return packed


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", as_brotli),
    ("zstd", as_zstandard),
    ("GZIP", gzipped),
    ("x-gzip", gzipped),
    ("x-gzip", in_two_members),
    ("gzip, gzip", twice),
    ("deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
    ("aws-chunked,gzip", gzipped),
]


@pytest.mark.parametrize(("coding", "pack"), PACKED)
async def test_a_file_arrives_whole_however_it_is_packed(
    oven: Oven, backend: Backend, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    oven.says(pack(TEXT), Content_Encoding=coding)

    async with backend(**BY_ADDRESS).result(Handle("/loaves/7")) as file:
        chunks = [chunk async for chunk in file.chunks()]

    assert b"".join(chunks) == TEXT
    assert file.length is None


@pytest.mark.parametrize("coding", ["identity", "utf-8", "aws-chunked", ""])
async def test_a_file_that_is_not_packed_keeps_its_length(
    oven: Oven, backend: Backend, coding: str
) -> None:
    oven.says(TEXT, Content_Encoding=coding)

    async with backend(**BY_ADDRESS).result(Handle("/loaves/7")) as file:
        chunks = [chunk async for chunk in file.chunks()]

    assert b"".join(chunks) == TEXT
    assert file.length == len(TEXT)


@pytest.mark.parametrize(("coding", "pack"), PACKED)
async def test_a_status_is_read_however_it_is_packed(
    oven: Oven, backend: Backend, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    oven.says(pack(b'{"state": "baked"}' + b" " * 1000), Content_Encoding=coding)

    answer = await report(backend())

    assert isinstance(answer, Report)
    assert answer.status is Status.SUCCEEDED


async def test_a_body_that_is_far_larger_than_its_packing_is_cut_off(
    oven: Oven, backend: Backend
) -> None:
    oven.says(twice(b" " * 50_000_000), Content_Encoding="gzip, gzip")

    assert (await refusal(backend())).code == "too_large"


@pytest.mark.parametrize("body", [gzip.compress(TEXT)[:-20], b"not packed"])
async def test_what_is_packed_falsely_is_an_error_that_may_pass(
    oven: Oven, backend: Backend, body: bytes
) -> None:
    oven.says(body, Content_Encoding="x-gzip")

    error = await refusal(backend())

    assert (error.code, error.permanent) == ("unreachable", False)


# Addresses of the same server


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://press.example:443", "https://PRESS.EXAMPLE/jobs/7"),
        ("http://press.example", "http://press.example.:80/jobs/7"),
        ("http://press.example.", "http://press.example/jobs/7"),
        ("http://press.example", "http://press.example:/jobs/7"),
        ("http://press.example", "http://press.example:0080/jobs/7"),
        ("http://bücher.example", "http://BÜCHER.example:80/jobs/7"),
        ("http://xn--bcher-kva.example", "http://XN--BCHER-KVA.example/jobs/7"),
        ("http://[::1]:9000", "http://[0:0:0:0:0:0:0:1]:9000/jobs/7"),
        ("http://[2001:db8::a]", "http://[2001:DB8::A]:80/jobs/7"),
        ("http://press.example", "http://press.example?id=7"),
    ],
)
def test_the_same_server_may_be_spelled_in_more_ways(url: str, location: str) -> None:
    assert origin(url) == origin(location)


@pytest.mark.parametrize(
    "location",
    [
        "http://press.example..evil.example/7",
        "http://press.example%2eevil.example/7",
        "http://press.example%00.evil.example/7",
        "http://press.example:80@evil.example/7",
        "http://evil.example#@press.example/7",
        "http://evil.example?@press.example/7",
        "http://evil.example\\@press.example/7",
        "http://[::1]/7",
    ],
)
def test_no_spelling_makes_another_server_ours(location: str) -> None:
    try:
        found = origin(location)
    except ValueError:
        return
    assert origin("http://press.example") != found


# Addresses that are not escaped


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("/jobs/%7Eann", "/jobs/%7Eann"),
        ("/jobs/~ann", "/jobs/~ann"),
        ("/jobs/a|b^c`{d}", "/jobs/a%7Cb%5Ec%60%7Bd%7D"),
        ("/jobs/7?at=März 3&x=%C3%A4", "/jobs/7?at=M%C3%A4rz%203&x=%C3%A4"),
        ("/jobs/\U0001f35e", "/jobs/%F0%9F%8D%9E"),
        ("/jobs/a%2fb", "/jobs/a%2fb"),
        ("/jobs/a+b", "/jobs/a+b"),
        ("/jobs//7", "/jobs//7"),
        ("../jobs/./7", "/jobs/7"),
        ("?id=7", "/loaves?id=7"),
        ("7;v=1", "/7;v=1"),
    ],
)
async def test_an_address_is_sent_as_browsers_would_send_it(
    oven: Oven, backend: Backend, location: str, sent: str
) -> None:
    ours = backend(**(BY_ADDRESS | {"start": BY_ID | {"ref": {"link": "href"}}}))
    oven.says({"href": location, "state": "baking"})

    ref = (await ours.start("a-job", {})).ref
    assert isinstance(await report(ours, ref), Report)

    assert oven.asked[-1].rel_url.raw_path_qs == sent


# Answers with a slip


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (b'"two\nlines"', "two\nlines"),
        (b'"a\ttab and \x1b[1mbold"', "a\ttab and \x1b[1mbold"),
        (b'"C:\\press\\jobs"', "C:\\press\\jobs"),
        (b'"\\x41 \\\\u12 \\u12"', "\\x41 \\u12 \\u12"),
        (b'"cut \xf0\x9f"', "cut \ufffd"),
        (b"NaN", None),
        (b'"NaN, \\ud83d"', "NaN, \ufffd"),
    ],
)
async def test_a_message_that_is_not_json_hides_no_state(
    oven: Oven, backend: Backend, note: bytes, message: str | None
) -> None:
    oven.says(b'{"state": "baked", "note": ' + note + b"}")

    answer = await report(backend())

    assert isinstance(answer, Report)
    assert (answer.status, answer.message) == (Status.SUCCEEDED, message)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
async def test_a_number_that_is_none_is_as_unknown_as_one_that_lacks(
    oven: Oven, backend: Backend, number: str
) -> None:
    """Python's own JSON has such numbers, as of a division by nothing."""
    oven.says(f'{{"state": "baking", "done": {number}, "of": {{"all": 5}}}}'.encode())

    answer = await report(backend())

    assert isinstance(answer, Report)
    assert (answer.status, answer.done) == (Status.RUNNING, None)


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("tables", [{}, IN_BULK], ids=["single", "bulk"])
async def test_a_mark_at_the_beginning_hides_no_kind_of_answer(
    oven: Oven, backend: Backend, coding: str, tables: dict[str, Any]
) -> None:
    ours = backend(**tables)
    text = '{"id": "7", "state": "baked", "loaves": [{"id": "7", "state": "baked"}]}'
    oven.says(text.encode(coding), 201)
    assert (await ours.start("a-job", {})).ref == "7"

    oven.says(text.encode(coding))
    assert isinstance(await report(ours), Report)

    oven.says('{"detail": "Too many loaves."}'.encode(coding), 422)
    assert (await start_refusal(ours)).message == "Too many loaves."


@pytest.mark.parametrize("body", [b'"' * 999, b'{"a": "' + b'\\"' * 400_000, b"-" * 9])
async def test_what_cannot_be_mended_is_found_out_soon(
    oven: Oven, backend: Backend, body: bytes
) -> None:
    oven.says(body)

    assert (await refusal(backend())).code == "unexpected_answer"


# Silences


async def running_there(kitchen: Kitchen, **state: Any) -> None:
    """A job that its backend has; its next poll is due."""
    await kitchen.add("job")
    lease = await kitchen.store.lease("job", "start")
    assert lease
    started = lease.job.started(now_ms()).revised()
    backend_state = BackendState(ref="7", **state)
    change = Change(lease.job, started, backend_state, lease.number, 0, 0)
    await send_beats((await kitchen.store.advance([change]))[1])


@pytest.mark.parametrize(
    "before",
    [
        {},
        {"failures": 1, "silent_since_ms": 3_600_000, "missed_ms": 3_600_000},
        {"failures": 2, "silent_since_ms": 7_200_000, "missed_ms": 300_000},
    ],
    ids=["heard an hour ago", "missed an hour ago", "missed twice, 5 min ago"],
)
async def test_a_time_without_workers_counts_for_no_silence(
    kitchen: Kitchen, before: dict[str, int]
) -> None:
    kitchen.oven.give_up_after_s = 5
    kitchen.oven.answers = [AWAY, at(66), DONE]
    ago = {k: now_ms() - v if k.endswith("_ms") else v for k, v in before.items()}

    await running_there(kitchen, heard_ms=now_ms() - 9_000_000, **ago)

    assert (await kitchen.end("job")).complete


async def test_a_silence_that_goes_on_ends_the_job_though_workers_change(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.give_up_after_s = 60
    kitchen.oven.answers = [AWAY]
    now = now_ms()

    await running_there(
        kitchen, failures=9, silent_since_ms=now - 61_000, missed_ms=now - 30_000
    )

    ended = await kitchen.end("job")
    assert ended.error
    assert ended.error.code == "given_up"


async def test_a_start_that_waited_long_for_a_worker_has_all_of_its_tries(
    kitchen: Kitchen,
) -> None:
    """As a job that was asked for while no worker ran."""
    kitchen.oven.start_errors = [AWAY, AWAY, AWAY]
    kitchen.oven.answers = [DONE]
    await kitchen.add("job")
    lease = await kitchen.store.lease("job", "start")
    assert lease
    state = BackendState(heard_ms=1)
    change = Change(lease.job, lease.job, state, lease.number, 0, 0)
    await send_beats((await kitchen.store.advance([change]))[1])

    assert (await kitchen.end("job")).complete
    assert kitchen.oven.started == ["job"] * 4


# Asked to wait


@pytest.mark.parametrize("status", [404, 410])
async def test_a_service_that_does_not_know_a_job_may_say_when_it_will(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(b"", status, Retry_After="5")
    absent = {"absent": {"statuses": [404, 410]}}

    error = await refusal(backend(status=OVEN["status"] | absent))

    assert isinstance(error, AbsentError)
    assert error.retry_after_s == 5


async def test_a_job_that_is_not_there_yet_is_asked_for_when_the_service_says(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.answers = [AbsentError("Not yet.", retry_after_s=0.7), DONE]

    job = await kitchen.submit()
    await kitchen.end(job)

    first, second = kitchen.oven.times(job)
    assert 0.6 < second - first < 1.5


@pytest.mark.parametrize("waits", [("3", "9"), ("9", "3"), ("9", "soon"), ("9", "")])
async def test_of_several_answers_the_one_that_asks_for_most_time_is_heeded(
    oven: Oven, backend: Backend, waits: tuple[str, str]
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        wait = waits[request.path == "/b/7"]
        return web.json_response({"state": "baking"}, headers={"Retry-After": wait})

    oven.answer = answer
    calls = {name: {"request": f"GET /{name}/{{ref}}"} for name in ("a", "b")}
    words = OVEN["status"]["states"]
    ours = backend(status={"calls": calls, "state": "a.state", "states": words})

    said = await report(ours)

    assert isinstance(said, Report)
    assert said.retry_after_s == 9


async def test_a_bulk_answer_that_is_refused_for_now_asks_all_of_its_jobs_to_wait(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"detail": "Slowly."}, 429, Retry_After="5")

    answers = await backend(**IN_BULK).reports(handles("7", "8"))

    assert [each.retry_after_s for each in answers] == [5, 5]
