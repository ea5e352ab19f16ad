"""The HTTP backend against a little real server: each answer, and each failure."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from aiohttp import web

from actors.backends import AbsentError, BackendError, Handle, Report
from actors.backends.answers import Reader
from actors.requests import Action
from actors.status import Failure, Status
from dev.redis import free_port

from .support.oven import (
    BY_ADDRESS,
    IN_BULK,
    OVEN,
    Backend,
    Oven,
    handles,
    is_sentence,
    refusal,
    report,
    start_refusal,
)

PAUSABLE: dict[str, Any] = {
    "resume": {"request": "PUT /loaves/{ref}/on"},
    "status": OVEN["status"]
    | {"states": OVEN["status"]["states"] | {"paused": ["resting"]}},
}

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
    assert answer.error == Failure(
        "backend_failed", message or "Oven could not finish it."
    )


@pytest.mark.parametrize(
    "odd", [None, "3 of 8", True, -1, [3], {}, 1e300, -(10**400) // 3]
)
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
    assert (
        sent < 20_000_000
    )  # as much as fits in the sockets' buffers beside our megabyte


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

    assert isinstance(error, AbsentError)
    assert (error.code, error.means) == ("gone", Status.FAILED)


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
        error = await refusal(ours)

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

    answers = await ours.reports(handles("7", "b/c", "missing", "9"))

    assert str(oven.asked[0].rel_url) == "/all?ids=7,b%2Fc,missing,9"
    odd, baked, missing, baking = answers
    assert isinstance(odd, BackendError)
    assert (odd.code, odd.permanent) == ("unexpected_answer", False)
    assert isinstance(baked, Report)
    assert baked.status is Status.SUCCEEDED
    assert isinstance(missing, AbsentError)
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

    answers = await backend(**IN_BULK).reports(handles("7", "8"))

    assert len(answers) == 2
    for error in answers:
        assert isinstance(error, BackendError)
        assert is_sentence(error)
        assert not error.permanent


async def test_an_empty_list_says_that_all_are_gone(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"loaves": []})

    [error] = await backend(**IN_BULK).reports(handles("7"))

    assert isinstance(error, AbsentError)


async def test_an_item_that_cannot_be_read_hurts_no_other(
    oven: Oven, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an answer might be that nobody has thought of."""

    def read(self: Reader, item: Any) -> Report:
        return Report(status=Status.RUNNING, done=1 // item["done"])

    monkeypatch.setattr(Reader, "report", read)
    items = [{"id": "bad", "done": 0}, {"id": "good", "done": 1}]
    oven.says({"loaves": items})

    bad, good = await backend(**IN_BULK).reports(handles("bad", "good"))

    assert isinstance(bad, BackendError)
    assert (bad.code, bad.permanent) == ("unexpected_answer", False)
    assert good == Report(status=Status.RUNNING, done=1)


async def test_an_item_that_is_nested_deep_hurts_no_other(
    oven: Oven, backend: Backend
) -> None:
    def item(name: str, depth: int) -> str:
        note = "[" * depth + "1" + "]" * depth
        return f'{{"id": "{name}", "state": "baking", "note": {note}}}'

    listed = ",".join([item("deep", 32), item("allowed", 31), item("good", 0)])
    oven.says(f'{{"loaves": [{listed}]}}'.encode())

    deep, *others = await backend(**IN_BULK).reports(handles("deep", "allowed", "good"))

    assert all(isinstance(other, Report) for other in others)
    assert isinstance(deep, BackendError)
    assert (deep.code, deep.permanent) == ("unexpected_answer", False)


@pytest.mark.parametrize(
    "note", [b"undefined", b"+1", b"'x'", b'"' + b"x" * 1_100_000 + b'"']
)
async def test_an_item_that_spoils_the_whole_answer_hurts_no_other(
    oven: Oven, backend: Backend, note: bytes
) -> None:
    async def answer(request: web.Request) -> web.Response:
        items = [
            b'{"id": "%s", "state": "baking", "note": %s}'
            % (ref.encode(), note if ref == "bad" else b"null")
            for ref in request.query["ids"].split(",")
        ]
        body = b'{"loaves": [' + b",".join(items) + b"]}"
        return web.Response(body=body, content_type="application/json")

    oven.answer = answer
    refs = [f"good-{number}" for number in range(60)]
    refs.insert(41, "bad")

    answers = dict(
        zip(refs, await backend(**IN_BULK).reports(handles(*refs)), strict=True)
    )

    bad = answers.pop("bad")
    assert isinstance(bad, BackendError)
    assert not bad.permanent
    assert all(isinstance(answer, Report) for answer in answers.values())
    assert len(oven.asked) < 20


async def test_a_service_whose_every_answer_is_bad_is_not_asked_for_ever(
    oven: Oven, backend: Backend
) -> None:
    oven.says(b"<html>")

    answers = await backend(**IN_BULK).reports(handles(*map(str, range(100))))

    assert all(isinstance(answer, BackendError) for answer in answers)
    assert len(oven.asked) < 40


async def test_an_answer_that_is_nested_deep_is_not_understood(
    oven: Oven, backend: Backend
) -> None:
    for depth in (33, 990, 9_990):
        deep = "[" * depth + "]" * depth
        oven.says(f'{{"state": "baking", "note": {deep}}}'.encode())

        error = await refusal(backend())

        assert (error.code, error.permanent) == ("unexpected_answer", False)


@pytest.mark.parametrize(
    "when", ["Mon, 1 Jan 99999999999999999999 00:00:00 GMT", "9" * 400, "-1", "soon"]
)
async def test_a_retry_after_that_makes_no_sense_is_ignored(
    oven: Oven, backend: Backend, when: str
) -> None:
    oven.says(status=503, Retry_After=when)

    assert (await refusal(backend())).code == "http_503"


# Stopping


@pytest.mark.parametrize("status", [200, 202, 204, 404, 409, 410])
async def test_a_cancel_of_a_job_that_has_ended_is_fine(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(b"", status)

    await backend().send(Action.CANCEL, Handle("a b/c"))

    [request] = oven.asked
    assert request.method == "DELETE"
    assert request.rel_url.raw_path == "/loaves/a%20b%2Fc"


async def test_a_job_is_paused_and_resumed_as_the_recipe_says(
    oven: Oven, backend: Backend
) -> None:
    oven.says()
    ours = backend(pause={"request": "POST /loaves/{ref}/pause"}, **PAUSABLE)
    assert ours.can == ("cancel", "pause", "resume")

    await ours.send(Action.PAUSE, Handle("a b"))
    await ours.send(Action.RESUME, Handle("a b"))

    assert [f"{each.method} {each.rel_url.raw_path}" for each in oven.asked] == [
        *("POST /loaves/a%20b/pause", "PUT /loaves/a%20b/on")
    ]


@pytest.mark.parametrize(
    ("status", "is_permanent"),
    [
        *((status, True) for status in (400, 401, 403, 405, 422)),
        *((status, False) for status in (408, 429, 500, 503)),
    ],
)
async def test_a_cancel_that_is_refused_for_now_may_be_tried_again(
    oven: Oven, backend: Backend, status: int, is_permanent: bool
) -> None:
    oven.says({"detail": "You may not."}, status, Retry_After="3")

    with pytest.raises(BackendError) as refused:
        await backend().send(Action.CANCEL, Handle("7"))

    assert is_sentence(refused.value)
    assert refused.value.message == "You may not."
    assert refused.value.permanent is is_permanent
    assert refused.value.retry_after_s == 3


@pytest.mark.parametrize("status", [404, 409, 410])
async def test_a_pause_of_a_job_that_is_over_is_refused(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(b"", status)
    ours = backend(pause={"request": "POST /loaves/{ref}/pause"}, **PAUSABLE)

    with pytest.raises(BackendError) as refused:
        await ours.send(Action.PAUSE, Handle("7"))

    assert refused.value.permanent


@pytest.mark.parametrize("status", [302, 303, 307])
async def test_a_cancel_that_is_redirected_is_refused(
    oven: Oven, backend: Backend, status: int
) -> None:
    """As to a login page: nothing was stopped."""
    oven.says(b"", status, Location="/login")

    with pytest.raises(BackendError) as refused:
        await backend().send(Action.CANCEL, Handle("7"))

    assert refused.value.permanent


async def test_an_action_that_its_recipe_has_lost_is_refused(backend: Backend) -> None:
    with pytest.raises(BackendError) as refused:
        await backend().send(Action.PAUSE, Handle("7"))

    assert is_sentence(refused.value)
    assert refused.value.permanent


# Results


async def test_a_file_is_streamed(oven: Oven, backend: Backend) -> None:
    photo = bytes(range(256)) * 1000
    oven.says(photo, Content_Type="text/html")
    ours = backend(**BY_ADDRESS)

    async with ours.result(Handle("/loaves/7")) as file:
        chunks = [chunk async for chunk in file.chunks()]

    assert (file.content_type, file.length) == ("image/png", len(photo))
    assert b"".join(chunks) == photo
    assert len(chunks) > 1
    assert oven.asked[0].path == "/loaves/7/photo.png"


async def test_a_compressed_file_is_unpacked_and_has_no_length(
    oven: Oven, backend: Backend
) -> None:
    text = b"a loaf " * 10_000
    oven.says(gzip.compress(text), Content_Encoding="gzip")

    async with backend(**BY_ADDRESS).result(Handle("/loaves/7")) as file:
        chunks = [chunk async for chunk in file.chunks()]

    assert file.length is None
    assert b"".join(chunks) == text


@pytest.mark.parametrize("status", [204, 302, 404, 500])
async def test_a_file_that_cannot_be_had_is_an_error(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says(b"", status)

    with pytest.raises(BackendError) as refused:
        async with backend(**BY_ADDRESS).result(Handle("/loaves/7")):
            pytest.fail("There is no file.")

    assert is_sentence(refused.value)


async def test_a_recipe_without_a_file_has_none(backend: Backend) -> None:
    with pytest.raises(BackendError, match="makes no file"):
        async with backend().result(Handle("7")):
            pytest.fail("There is no file.")


async def test_a_backend_that_was_never_asked_can_be_closed(backend: Backend) -> None:
    await backend().close()
