"""Recipes of several calls: named calls, kept values, addresses that change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import pytest
from aiohttp import web

from actors import Action
from actors.backends import BackendError, Handle, Report
from actors.backends.http import HttpBackend
from actors.recipes.load import RecipeError
from actors.status import Status
from tests.support.oven import IN_BULK, OVEN, Backend, Oven, handles

pytestmark = pytest.mark.asyncio

# As with Jenkins: a queue item first, whose build has another number.
QUEUE_THEN_BUILD: dict[str, Any] = {
    "start": {"request": "POST /build", "ref": {"header": "Location"}},
    "status": {
        "message": "item.why || build.name",
        "when": {
            "cancelled": "item.cancelled || build.result == 'ABORTED'",
            "failed": "build.result == 'FAILURE'",
            "succeeded": "build.result == 'SUCCESS'",
            "running": "build",
            "queued": "else",
        },
        "calls": {
            "item": {
                "request": "GET {ref}api/json",
                "unless": "number",
                "keep": {"item": "id", "number": "executable.number"},
            },
            "build": {"request": "GET /job/{number}/api/json"},
        },
    },
    "cancel": {
        "calls": {
            "item": {
                "request": "POST /queue/cancelItem",
                "query": {"id": "{item}"},
                "unless": "number",
            },
            "build": {"request": "POST /job/{number}/stop"},
        }
    },
}


def answering(oven: Oven, answers: Mapping[str, Any]) -> None:
    """Answer each path with its own JSON; a number is an HTTP status without a body."""

    async def answer(request: web.Request) -> web.Response:
        body = answers[request.path]
        if isinstance(body, int):
            return web.Response(status=body)
        return web.json_response(body)

    oven.answer = answer


def lines(oven: Oven) -> list[str]:
    return [f"{each.method} {each.rel_url.raw_path_qs}" for each in oven.asked]


async def heard(ours: HttpBackend, handle: Handle) -> tuple[Report, Handle]:
    """Ask for a job, and remember what a worker would."""
    [report] = await ours.reports([handle])
    assert isinstance(report, Report), report
    kept = {**handle.kept, **report.kept}
    return report, handle._replace(ref=report.ref or handle.ref, kept=kept)


async def test_an_id_that_comes_later_replaces_the_first_call(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(**QUEUE_THEN_BUILD)
    job = Handle("/queue/item/17/", "our-id")

    answering(oven, {"/queue/item/17/api/json": {"id": 17, "why": "No free oven"}})
    waiting, job = await heard(ours, job)
    answering(
        oven, {"/queue/item/17/api/json": {"id": 17, "executable": {"number": 4}}}
    )
    _, job = await heard(ours, job)
    answering(oven, {"/job/4/api/json": {"result": None, "name": "#4"}})
    running, job = await heard(ours, job)
    answering(oven, {"/job/4/api/json": {"result": "SUCCESS", "name": "#4"}})
    ended, job = await heard(ours, job)

    assert (waiting.status, waiting.message) == (Status.QUEUED, "No free oven")
    assert (running.status, running.message) == (Status.RUNNING, "#4")
    assert ended.status is Status.SUCCEEDED
    assert job.kept == {"item": 17, "number": 4}
    assert lines(oven) == [
        *["GET /queue/item/17/api/json"] * 2,
        *["GET /job/4/api/json"] * 2,
    ]


@pytest.mark.parametrize(
    ("kept", "line"),
    [
        ({"item": 17}, "POST /queue/cancelItem?id=17"),
        ({"item": 17, "number": 4}, "POST /job/4/stop"),
    ],
)
async def test_a_stop_goes_to_the_call_whose_names_are_known(
    oven: Oven, backend: Backend, kept: dict[str, Any], line: str
) -> None:
    oven.says({})

    ours = backend(**QUEUE_THEN_BUILD)
    await ours.send(Action.CANCEL, Handle("/queue/item/17/", kept=kept))

    assert lines(oven) == [line]


async def test_a_stop_that_cannot_be_named_yet_is_asked_again(
    oven: Oven, backend: Backend
) -> None:
    with pytest.raises(BackendError) as error:
        await backend(**QUEUE_THEN_BUILD).send(Action.CANCEL, Handle("/queue/item/17/"))

    assert not error.value.permanent
    assert oven.asked == []


RCLONE: dict[str, Any] = {
    "start": {"request": "POST /sync/copy", "ref": "jobid"},
    "status": {
        "done": "stats.bytes",
        "total": "stats.totalBytes",
        "error": "job.error",
        "epoch": "job.executeId",
        "calls": {
            "job": {"request": "POST /job/status", "json": {"jobid": "{ref}"}},
            "stats": {
                "request": "POST /core/stats",
                "json": {"group": "{job}"},
                "optional": True,
            },
        },
        "absent": {"when": "error == 'job not found'"},
        "when": {
            "cancelled": "job.error == 'context canceled'",
            "failed": "job.finished && !(job.success)",
            "succeeded": "job.success",
            "running": "else",
        },
    },
}


async def test_several_calls_are_one_answer(oven: Oven, backend: Backend) -> None:
    job = {"finished": False, "success": False, "error": "", "executeId": "e1"}
    stats = {"bytes": 30, "totalBytes": 120}
    answering(oven, {"/job/status": job, "/core/stats": stats})

    report, _ = await heard(backend(**RCLONE), Handle("7", "our-id"))

    assert (report.status, report.done, report.total) == (Status.RUNNING, 30, 120)
    assert {frozenset(json.loads(body).items()) for body in oven.bodies} == {
        frozenset({("jobid", "7")}),
        frozenset({("group", "our-id")}),
    }


async def test_an_optional_call_may_fail(oven: Oven, backend: Backend) -> None:
    answering(oven, {"/job/status": {"finished": False}, "/core/stats": 500})

    report, _ = await heard(backend(**RCLONE), Handle("7"))

    assert (report.status, report.done) == (Status.RUNNING, None)


async def test_a_needed_call_that_fails_is_a_miss(oven: Oven, backend: Backend) -> None:
    answering(oven, {"/job/status": 500, "/core/stats": {"bytes": 1}})

    [error] = await backend(**RCLONE).reports([Handle("7")])

    assert isinstance(error, BackendError)
    assert (error.code, error.permanent) == ("http_500", False)


async def test_a_service_that_was_started_again_has_lost_its_jobs(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(**RCLONE)
    answering(oven, {"/job/status": {"executeId": "e1"}, "/core/stats": {}})
    _, job = await heard(ours, Handle("7"))
    _, job = await heard(ours, job)
    answering(oven, {"/job/status": {"executeId": "e2"}, "/core/stats": {}})

    [error] = await ours.reports([job])

    assert isinstance(error, BackendError)
    assert (error.code, error.permanent) == ("lost", True)


# As with Trino: each answer names the next address.
STATEMENT: dict[str, Any] = {
    "start": {"request": "POST /v1/statement", "ref": {"link": "nextUri"}},
    "status": {
        "request": "GET {ref}",
        "next": {"link": "nextUri"},
        "when": {"failed": "error", "succeeded": "!nextUri", "running": "else"},
    },
    "cancel": {"request": "DELETE {ref}"},
}


async def test_each_answer_may_name_the_next_address(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(**STATEMENT)
    oven.says({"nextUri": f"{oven.url}/v1/q/1"})
    begun = await ours.start("our-id", {})
    job = Handle(begun.ref)
    for step in (2, 3):
        oven.says({"nextUri": f"{oven.url}/v1/q/{step}"})
        report, job = await heard(ours, job)
        assert report.status is Status.RUNNING
    await ours.send(Action.CANCEL, job)
    oven.says({})
    ended, _ = await heard(ours, job)

    assert ended.status is Status.SUCCEEDED
    assert lines(oven)[1:] == [
        *("GET /v1/q/1", "GET /v1/q/2", "DELETE /v1/q/3", "GET /v1/q/3")
    ]


async def test_the_next_address_may_not_be_on_another_server(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"nextUri": "http://evil.example/v1/q/2"})

    [error] = await backend(**STATEMENT).reports([Handle("/v1/q/1")])

    assert isinstance(error, BackendError)
    assert error.code == "foreign_location"


KEEPING = {
    "start": {
        "request": "POST /loaves",
        "ref": "id",
        "keep": {"stop": {"link": "urls.cancel"}, "photo": {"header": "X-Photo"}},
    },
    "cancel": {"request": "PUT {stop}"},
    "result": {"request": "GET /photos/{photo}"},
}


async def test_a_start_may_say_where_the_other_calls_go(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(**KEEPING)
    oven.says({"id": 7, "urls": {"cancel": "/loaves/7/stop?now=1"}}, X_Photo="a/b")
    begun = await ours.start("our-id", {})

    await ours.send(Action.CANCEL, Handle(begun.ref, kept=begun.kept))
    async with ours.result(Handle(begun.ref, kept=begun.kept)):
        pass

    assert begun == ("7", {"stop": "/loaves/7/stop?now=1", "photo": "a/b"})
    assert lines(oven)[1:] == ["PUT /loaves/7/stop?now=1", "GET /photos/a%2Fb"]


@pytest.mark.parametrize(
    "value", ["http://evil.example/x", "//evil.example/x", "ftp://x/", "x" * 600, [1]]
)
async def test_what_is_kept_of_an_answer_is_checked(
    oven: Oven, backend: Backend, value: Any
) -> None:
    oven.says({"id": 7, "urls": {"cancel": value}})

    with pytest.raises(BackendError) as error:
        await backend(**KEEPING).start("our-id", {})

    assert error.value.permanent  # the job has begun
    assert error.value.code in ("foreign_location", "start_unknown")


async def test_the_status_and_headers_of_an_answer_are_facts(
    oven: Oven, backend: Backend
) -> None:
    status = {
        "request": "GET /loaves/{ref}",
        "accept": [303],
        "percent": '_http.headers."x-progress"',
        "when": {
            "succeeded": "_http.status == `303`",
            "running": "_http.status == `202`",
            "failed": "_body == 'burnt'",
        },
    }
    ours = backend(status=status)

    oven.says(b"", status=202, X_Progress="40 %")
    running, _ = await heard(ours, Handle("7"))
    oven.says(b"burnt")
    failed, _ = await heard(ours, Handle("7"))
    oven.says(b"", status=303)
    ended, _ = await heard(ours, Handle("7"))

    assert (running.status, running.progress) == (Status.RUNNING, 40)
    assert failed.status is Status.FAILED
    assert ended.status is Status.SUCCEEDED


STEPS = {
    "items": "tasks",
    "title": "name",
    "state": "state",
    "states": {"queued": ["waiting"], "running": ["on"], "succeeded": ["ok"]},
    "percent": "pct",
    "weight": "size",
}


async def test_steps_have_states_and_make_up_the_bar(
    oven: Oven, backend: Backend
) -> None:
    tasks = [
        {"name": "knead", "state": "ok", "size": 1},
        {"name": "bake", "state": "on", "pct": 50, "size": 2},
        {"state": "waiting", "size": 1},
        {"name": ["odd"], "state": 9, "pct": "?", "size": 0},
    ]
    oven.says({"state": "baking", "tasks": tasks})

    report, _ = await heard(
        backend(status=OVEN["status"] | {"steps": STEPS}), Handle("7")
    )

    assert report.percentage == 50
    assert report.steps
    assert [(s.title, s.status, s.progress) for s in report.steps] == [
        ("knead", Status.SUCCEEDED, 100),
        ("bake", Status.RUNNING, 50),
        ("Step 3", Status.QUEUED, None),
        ("Step 4", None, None),
    ]


@pytest.mark.parametrize("tasks", [None, [], {}, "x", 7])
async def test_a_job_without_steps_goes_on(
    oven: Oven, backend: Backend, tasks: Any
) -> None:
    oven.says({"state": "baking", "tasks": tasks, "done": 1, "of": {"all": 4}})

    ours = backend(status=OVEN["status"] | {"steps": STEPS})
    report, _ = await heard(ours, Handle("7"))

    assert (report.steps, report.percentage) == (None, 25)


WITH_RESULT = {
    "result": {"call": {"request": "GET /loaves/{ref}/report"}, "values": {"n": "n"}}
}


async def test_the_result_may_be_in_another_answer(
    oven: Oven, backend: Backend
) -> None:
    answers = {"/loaves/7": {"state": "baked"}, "/loaves/7/report": {"n": 3}}
    answering(oven, answers)
    ours = backend(**WITH_RESULT)

    ended, _ = await heard(ours, Handle("7"))
    answering(oven, answers | {"/loaves/7/report": 404})
    without, _ = await heard(ours, Handle("7"))
    answering(oven, answers | {"/loaves/7/report": 503})
    [missed] = await ours.reports([Handle("7")])

    assert ended.result == {"n": 3}
    assert (without.status, without.result) == (Status.SUCCEEDED, None)
    assert isinstance(missed, BackendError)


async def test_each_job_of_a_bulk_answer_has_its_own_result(
    oven: Oven, backend: Backend
) -> None:
    listed = [{"id": "7", "state": "baked"}, {"id": "8", "state": "baking"}]
    answers = {"/all": {"loaves": listed}, "/loaves/7/report": {"n": 3}}
    answering(oven, answers)

    seven, eight = await backend(**IN_BULK, **WITH_RESULT).reports(handles("7", "8"))

    assert isinstance(seven, Report)
    assert isinstance(eight, Report)
    assert (seven.result, eight.result) == ({"n": 3}, None)


async def test_a_result_may_be_a_text(oven: Oven, backend: Backend) -> None:
    result = {"call": {"request": "GET /report/{ref}"}, "values": {"text": "_body"}}

    async def answer(request: web.Request) -> web.Response:
        is_report = request.path == "/report/7"
        return web.Response(text="Fine." if is_report else '{"state": "baked"}')

    oven.answer = answer
    ended, _ = await heard(backend(result=result), Handle("7"))

    assert ended.result == {"text": "Fine."}


async def test_items_of_a_bulk_answer_may_be_keyed_by_their_id(
    oven: Oven, backend: Backend
) -> None:
    bulk = {"request": "POST /all", "items": "@"}
    oven.says({"7": {"state": "baking"}, "8": {"state": "baked"}})

    seven, eight = await backend(bulk=bulk).reports([Handle("7"), Handle("8")])

    assert isinstance(seven, Report)
    assert isinstance(eight, Report)
    assert (seven.status, eight.status) == (Status.RUNNING, Status.SUCCEEDED)


async def test_a_form_may_have_several_parts(oven: Oven, backend: Backend) -> None:
    fields = {"name": "{params.name}", "n": 3}
    ours = backend(
        params={"properties": {"name": {"type": "string", "default": 'a"\r\nb'}}},
        start={"request": "POST /loaves", "ref": "id", "multipart": fields},
    )
    oven.says({"id": 1})
    await ours.start("our-id", ours.check({}))

    head = f"Content-Type: {oven.asked[0].headers['Content-Type']}\r\n\r\n"
    form = BytesParser(policy=HTTP).parsebytes(head.encode() + oven.bodies[0])
    got = {
        part.get_param("name", header="Content-Disposition"): part.get_payload()
        for part in form.iter_parts()
    }
    assert got == {"name": 'a"\r\nb', "n": "3"}


FINDING: dict[str, Any] = {
    "start": {
        "request": "POST /loaves",
        "ref": "id",
        "find": {"request": "GET /marked/{job}", "ref": "items[0].id"},
    }
}


@pytest.mark.parametrize(("items", "asked"), [([], 2), ([{"id": 7}], 1)])
async def test_a_start_that_can_be_found_is_looked_for_first(
    oven: Oven, backend: Backend, items: list[Any], asked: int
) -> None:
    answering(oven, {"/marked/our-id": {"items": items}, "/loaves": {"id": 7}})
    ours = backend(**FINDING)

    begun = await ours.start("our-id", {})

    assert begun.ref == "7"
    assert not ours.starts_once
    assert len(oven.asked) == asked


async def test_a_start_may_be_answered_with_a_bare_text(
    oven: Oven, backend: Backend
) -> None:
    oven.says(b"loaf-7")

    begun = await backend(start={"request": "POST /loaves", "ref": "_body"}).start(
        "our-id", {}
    )

    assert begun.ref == "loaf-7"


async def test_a_start_may_need_a_second_call(oven: Oven, backend: Backend) -> None:
    start = {"request": "POST /loaves", "ref": "id"}
    then = {"request": "POST /loaves/{ref}/bake", "ref": "run"}
    answering(oven, {"/loaves": {"id": 7}, "/loaves/7/bake": {"run": 70}})

    begun = await backend(start=start | {"then": then}).start("our-id", {})

    assert begun.ref == "70"
    assert lines(oven) == ["POST /loaves", "POST /loaves/7/bake"]


async def test_a_second_call_that_is_refused_is_said(
    oven: Oven, backend: Backend
) -> None:
    then = {"request": "POST /loaves/{ref}/bake"}
    start = {"request": "POST /loaves", "ref": "id", "then": then}
    answering(oven, {"/loaves": {"id": 7}, "/loaves/7/bake": 403})

    with pytest.raises(BackendError) as error:
        await backend(start=start).start("our-id", {})

    assert (error.value.code, error.value.permanent) == ("http_403", True)


def with_calls(**status: Any) -> dict[str, Any]:
    states = {key: OVEN["status"][key] for key in ("states",)}
    calls = {"loaf": {"request": "GET /loaves/{ref}"}}
    return {"status": {"calls": calls, "state": "loaf.state", **states, **status}}


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        (with_calls(state="lof.state"), "did you mean `loaf`?"),
        (with_calls(percent="pct"), "must begin with the name of a call (loaf)"),
        (with_calls(request="GET /x/{ref}"), "needs one of `request` and `calls`"),
        (with_calls(query={"a": 1}), "has `calls`, so each of them has its own keys"),
        (with_calls(next="x"), "needs `request`, not `calls`"),
        (
            with_calls(calls={"loaf": {"request": "GET /{ref}", "unless": "n"}}),
            "no call keeps 'n' - at `$.status.calls.loaf.unless`",
        ),
        (
            with_calls(calls={"loaf": {"request": "GET /{keep.nr}"}}),
            "no call keeps 'nr' - at `$.status.calls.loaf`",
        ),
        (
            {"start": OVEN["start"] | {"keep": {f"n{i}": "x" for i in range(9)}}},
            "more than 8 values are kept",
        ),
        (
            {"start": OVEN["start"] | {"keep": {"a": {"header": "A", "body": "b"}}}},
            "needs one of `body`, `header` and `link`",
        ),
        (
            {"start": OVEN["start"] | {"find": {"request": "GET /x"}}},
            "`ref` is missing",
        ),
    ],
)
async def test_a_slip_between_several_calls_is_found_when_it_is_loaded(
    backend: Backend, changes: dict[str, Any], mistake: str
) -> None:
    with pytest.raises(RecipeError) as error:
        backend(**changes)

    assert mistake in str(error.value)
