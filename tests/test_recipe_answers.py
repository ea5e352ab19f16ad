"""Answers, read as a recipe says: states, numbers, refusals, and absent jobs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from actors.backends import AbsentError, BackendError, Handle, Report
from actors.clock import timestamp
from actors.requests import Action
from actors.status import Status

from .support.oven import IN_BULK, OVEN, Backend, Oven, refusal, report

WORDS = {"running": ["baking"], "succeeded": ["baked"], "failed": ["burnt"]}


def asking(**rules: Any) -> dict[str, Any]:
    return {"status": {"request": "GET /loaves/{ref}", **rules}}


async def heard(backend: Backend, recipe: dict[str, Any]) -> Report:
    answer = await report(backend(**recipe))
    assert isinstance(answer, Report)
    return answer


# The state


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (0, Status.QUEUED),
        (1, Status.RUNNING),
        (1.5, Status.PAUSED),
        (True, Status.SUCCEEDED),
        (False, Status.FAILED),
        ("1", Status.CANCELLED),
        (1.0, Status.RUNNING),
    ],
)
async def test_a_state_may_be_a_number_or_a_flag(
    oven: Oven, backend: Backend, state: object, status: Status
) -> None:
    states = {
        "queued": [0],
        "running": [1],
        "paused": [1.5],
        "succeeded": [True],
        "failed": [False],
        "cancelled": ["1"],
    }
    oven.says({"state": state})

    assert (await heard(backend, asking(state="state", states=states))).status is status


@pytest.mark.parametrize("state", ["Warming", "", 3, False])
async def test_any_other_state_may_mean_one_status(
    oven: Oven, backend: Backend, state: object
) -> None:
    oven.says({"state": state})
    rules = asking(state="state", states=WORDS, other="queued")

    assert (await heard(backend, rules)).status is Status.QUEUED


@pytest.mark.parametrize("state", [None, [], {}])
async def test_no_state_is_not_another_state(
    oven: Oven, backend: Backend, state: object
) -> None:
    oven.says({"state": state})

    error = await refusal(
        backend(**asking(state="state", states=WORDS, other="running"))
    )

    assert error.code == "unexpected_answer"


JENKINS = {
    "running": "else",
    "queued": "why",
    "succeeded": "result == 'SUCCESS'",
    "failed": "contains(['FAILURE', 'UNSTABLE'], result)",
    "cancelled": "cancelled || result == 'ABORTED'",
}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"result": "SUCCESS", "why": "x"}, Status.SUCCEEDED),
        ({"result": "UNSTABLE"}, Status.FAILED),
        ({"result": "ABORTED"}, Status.CANCELLED),
        ({"result": "SUCCESS", "cancelled": True}, Status.CANCELLED),
        ({"why": "Waiting"}, Status.QUEUED),
        ({"why": ""}, Status.RUNNING),
        ({"cancelled": []}, Status.RUNNING),
        ({"cancelled": 0}, Status.CANCELLED),
        ({}, Status.RUNNING),
    ],
)
async def test_a_status_may_be_an_expression(
    oven: Oven, backend: Backend, said: object, status: Status
) -> None:
    """The order is that of the statuses; 0 is true in JMESPath."""
    oven.says(said)

    assert (await heard(backend, asking(when=JENKINS))).status is status


async def test_expressions_come_before_words(oven: Oven, backend: Backend) -> None:
    rules = asking(state="state", states=WORDS, when={"paused": "is_held"})

    oven.says({"state": "baking", "is_held": True})
    assert (await heard(backend, rules)).status is Status.PAUSED
    oven.says({"state": "baking"})
    assert (await heard(backend, rules)).status is Status.RUNNING


async def test_a_failed_copy_has_failed(oven: Oven, backend: Backend) -> None:
    when = {
        "failed": "job.finished && !(job.success)",
        "succeeded": "job.success",
        "running": "else",
    }
    oven.says({"job": {"finished": True, "success": False}})

    assert (await heard(backend, asking(when=when))).status is Status.FAILED


# Numbers


@pytest.mark.parametrize(
    ("rules", "said", "percentage"),
    [
        ({"percent": "p"}, {"p": 42}, 42),
        ({"percent": "p"}, {"p": "42"}, 42),
        ({"percent": "p"}, {"p": " 42.5 %"}, 42.5),
        ({"percent": "p"}, {"p": "42,5"}, None),
        ({"percent": "p"}, {"p": -1}, None),
        ({"percent": "p"}, {"p": "-1"}, None),
        ({"percent": "p"}, {"p": "n/a"}, None),
        ({"percent": "p"}, {"p": True}, None),
        ({"percent": "p"}, {"p": "1e99"}, None),
        ({"percent": "p"}, {"p": "9" * 5000}, None),
        ({"percent": "p"}, {"p": "٤٢"}, None),
        ({"progress": "p"}, {"p": 42}, 42),
        ({"fraction": "p"}, {"p": 0.29}, 29),
        ({"fraction": "p"}, {"p": "0.5"}, 50),
        ({"fraction": "p"}, {"p": "3/7"}, 42.8),
        ({"fraction": "p"}, {"p": "0/0"}, None),
        ({"fraction": "p"}, {"p": "3/7/9"}, None),
        ({"fraction": "p"}, {"p": -0.5}, None),
        ({"done": "d", "total": "t"}, {"d": "1,271.5", "t": "2,543"}, 50),
        ({"done": "d", "total": "t"}, {"d": 5, "t": 0}, None),
        ({"done": "d", "total": "t"}, {"d": 5, "t": -1}, None),
        ({"percent": "p", "done": "d", "total": "t"}, {"d": 1, "t": 4}, 25),
        ({"percent": "p", "fraction": "f"}, {"f": 0.5}, 50),
        ({"percent": "p", "fraction": "f"}, {"p": 10, "f": 0.5}, 10),
        ({"done": "minus(mb, left)", "total": "mb"}, {"mb": "8.0", "left": "6.0"}, 25),
        ({"percent": "match(log, '([0-9]+)%')"}, {"log": "1% .. 7%\nok"}, 7),
        ({"percent": "match(log, '[0-9]+')"}, {"log": None}, None),
        ({"percent": "from_json(text).p"}, {"text": '{"p": 12}'}, 12),
        ({"percent": "from_json(text).p"}, {"text": '{"p": '}, None),
    ],
)
async def test_numbers_are_read_as_they_come(
    oven: Oven,
    backend: Backend,
    rules: dict[str, str],
    said: dict[str, Any],
    percentage: float | None,
) -> None:
    oven.says({"state": "baking", **said})

    answer = await heard(backend, asking(state="state", states=WORDS, **rules))

    assert answer.percentage == percentage


async def test_a_total_of_0_is_not_known(oven: Oven, backend: Backend) -> None:
    oven.says({"state": "baking", "done": 0, "of": {"all": 0}})

    answer = await report(backend())

    assert isinstance(answer, Report)
    assert (answer.done, answer.total) == (0, None)


# Refusals inside a success

REFUSED = {"when": "status == 'error'", "says": "message"}
SORRY = {"status": "error", "message": "No flour.", "id": "7", "state": "baked"}


async def test_a_success_may_be_a_refusal(oven: Oven, backend: Backend) -> None:
    ours = backend(refused=REFUSED)
    oven.says(SORRY)

    with pytest.raises(BackendError) as start:
        await ours.start("a-job", {})
    with pytest.raises(BackendError) as stop:
        await ours.send(Action.CANCEL, Handle("7"))
    status = await refusal(ours)

    for error, is_permanent in (
        (start.value, True),
        (stop.value, True),
        (status, False),
    ):
        assert (error.code, error.message) == ("refused", "No flour.")
        assert error.permanent is is_permanent


async def test_a_call_may_have_its_own_refusals(oven: Oven, backend: Backend) -> None:
    cancel = OVEN["cancel"] | {"refused": {"when": "status != 'ACCEPT'"}}
    ours = backend(cancel=cancel)
    oven.says({"status": "REJECT", "detail": "Too late."})

    with pytest.raises(BackendError, match=r"Too late\."):
        await ours.send(Action.CANCEL, Handle("7"))

    oven.says({"status": "ACCEPT"})
    await ours.send(Action.CANCEL, Handle("7"))


async def test_the_recipe_knows_where_a_refusal_gives_its_reason(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(refused={"says": "errors[0].text"})
    oven.says({"errors": [{"text": "No flour."}]}, 422)

    with pytest.raises(BackendError, match=r"No flour\."):
        await ours.start("a-job", {})


async def test_an_item_of_a_list_may_be_a_refusal(oven: Oven, backend: Backend) -> None:
    item = {"id": "7", "err": "Busy."}
    status = OVEN["status"] | {"refused": {"when": "err", "says": "err"}}
    oven.says({"loaves": [item, {"id": "8", "state": "baking"}]})

    bad, good = await backend(**IN_BULK, status=status).reports(
        [Handle("7"), Handle("8")]
    )

    assert isinstance(bad, BackendError)
    assert bad.message == "Busy."
    assert isinstance(good, Report)


# Jobs that are absent


def absent(**rule: Any) -> dict[str, Any]:
    return asking(state="state", states=WORDS, absent=rule)


def aged(seconds: float) -> Handle:
    return Handle("7", started_at=timestamp(int((time.time() - seconds) * 1000)))


@pytest.mark.parametrize(
    ("status", "body"), [(500, {"error": "Not found."}), (200, {"error": "Not found."})]
)
async def test_an_answer_may_say_that_the_job_is_absent(
    oven: Oven, backend: Backend, status: int, body: object
) -> None:
    ours = backend(refused={"when": "error"}, **absent(when="error == 'Not found.'"))
    oven.says(body, status)
    assert (await refusal(ours)).code == "gone"

    oven.says({"error": "Another."}, status)
    assert not (await refusal(ours)).permanent


@pytest.mark.parametrize(
    ("means", "status"),
    [("succeeded", Status.SUCCEEDED), ("cancelled", Status.CANCELLED)],
)
async def test_absence_may_be_an_end_that_is_fine(
    oven: Oven, backend: Backend, means: str, status: Status
) -> None:
    oven.says(b"", 404)

    error = await refusal(backend(**absent(means=means)))

    assert isinstance(error, AbsentError)
    assert error.means is status


async def test_a_job_may_be_absent_just_after_its_start(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(**absent(when="!state", within_s=10))
    for body, status in ((b"", 404), ({"state": None}, 200)):
        oven.says(body, status)

        [young] = await ours.reports([aged(1)])
        [old] = await ours.reports([aged(11)])

        assert isinstance(young, Report)
        assert (young.status, young.is_seen) == (Status.QUEUED, False)
        assert isinstance(old, BackendError)
        assert old.code == "gone"


async def test_only_these_statuses_mean_that_it_is_absent(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(**absent(statuses=[400, 410]))
    for status, is_gone in ((400, True), (410, True), (404, False), (403, False)):
        oven.says(b"", status)
        error = await refusal(ours)
        assert isinstance(error, AbsentError) is is_gone


@pytest.mark.parametrize(
    ("status", "body"),
    [(502, b"<html>"), (503, b"{}"), (401, b'{"error": "Log in."}'), (302, b"")],
)
async def test_an_error_of_a_proxy_lacks_a_state_but_is_no_absence(
    oven: Oven, backend: Backend, status: int, body: bytes
) -> None:
    oven.says(body, status)

    error = await refusal(backend(**absent(when="!state")))

    assert (error.code, error.permanent) == (f"http_{status}", False)


async def test_a_refusal_lacks_a_state_but_is_no_absence(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(refused=REFUSED, **absent(when="!state"))
    oven.says({"status": "error", "message": "Database is locked."})

    error = await refusal(ours)

    assert (error.code, error.permanent) == ("refused", False)


# After our stop


@pytest.mark.parametrize("state", ["baked", "burnt"])
async def test_an_end_after_our_stop_may_be_the_stop(
    oven: Oven, backend: Backend, state: str
) -> None:
    ours = backend(cancel=OVEN["cancel"] | {"claims": ["succeeded", "failed"]})
    oven.says({"state": state, "why": "Killed."})

    [stopped] = await ours.reports([Handle("7", is_stopped=True)])
    [ended] = await ours.reports([Handle("7")])

    assert stopped == Report(status=Status.CANCELLED, unit="loaves")
    assert isinstance(ended, Report)
    assert ended.status is not Status.CANCELLED


async def test_without_a_claim_an_end_is_told_as_it_is(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"state": "baked"})

    [ended] = await backend().reports([Handle("7", is_stopped=True)])

    assert isinstance(ended, Report)
    assert ended.status is Status.SUCCEEDED


# Pace


async def test_a_success_may_say_when_to_ask_again(
    oven: Oven, backend: Backend
) -> None:
    for headers, seconds in (({}, None), ({"Retry_After": "5"}, 5.0)):
        oven.says({"state": "baking"}, **headers)
        answer = await report(backend())
        assert isinstance(answer, Report)
        assert answer.retry_after_s == seconds

        oven.says({"loaves": [{"id": "7", "state": "baking"}]}, **headers)
        answer = await report(backend(**IN_BULK))
        assert isinstance(answer, Report)
        assert answer.retry_after_s == seconds


# Answers with a slip


async def test_half_a_character_in_a_message_hides_nothing_else(
    oven: Oven, backend: Backend
) -> None:
    oven.says(b'{"state": "baked", "note": "caf\\u00e9 \\ud83d", "x": "\\\\ud83d"}')

    answer = await report(backend(result={"values": {"x": "x"}}))

    assert isinstance(answer, Report)
    assert answer.status is Status.SUCCEEDED
    assert answer.message == "café \ufffd"
    assert answer.result == {"x": "\\ud83d"}


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\uD83Dx", "\ufffdx"),
        (b"caf\xe9", "caf\ufffd"),
    ],
)
async def test_what_is_no_character_becomes_a_mark(
    oven: Oven, backend: Backend, note: bytes, message: str
) -> None:
    oven.says(b'{"state": "baking", "note": "' + note + b'", "x": "\\udead"}')

    answer = await report(backend())

    assert isinstance(answer, Report)
    assert answer.message == message


async def test_a_byte_order_mark_is_skipped(oven: Oven, backend: Backend) -> None:
    oven.says(b'\xef\xbb\xbf{"state": "baking", "id": "7"}')

    assert isinstance(await report(backend()), Report)
    assert (await backend().start("a-job", {})).ref == "7"
