"""Calls with a shape: each is sent as its recipe says, with values in their places."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from actors.backends import BackendError, Handle, Report
from actors.recipes.params import ParamsError
from actors.requests import Action

from .support.oven import OVEN, Backend, Oven, report

PARAMS: dict[str, Any] = {
    "required": ["size"],
    "properties": {
        "size": {"type": "integer"},
        "kind": {"type": "string"},
        "is_hot": {"type": "boolean"},
        "seeds": {"type": "array"},
        "oven": {"type": "string", "default": "left"},
    },
}
REF = {"body": "id"}


def starting(request: str = "POST /loaves", **call: Any) -> dict[str, Any]:
    return {"params": PARAMS, "start": {"request": request, "ref": REF, **call}}


async def sent(
    backend: Backend, service: Oven, recipe: Any, **params: Any
) -> web.Request:
    """The request of a start with these params."""
    service.says({"id": "7"})
    ours = backend(**recipe)
    await ours.start("our-id", ours.check({"size": 3, **params}))
    return service.asked[-1]


@pytest.mark.parametrize(
    ("shape", "params", "body"),
    [
        ({"n": "{params.size}"}, {}, {"n": 3}),
        ({"n": "{params.size!text}"}, {}, {"n": "3"}),
        ({"n": "size {params.size}"}, {}, {"n": "size 3"}),
        (
            {"n": ["{params.is_hot}", 1, True]},
            {"is_hot": False},
            {"n": [False, 1, True]},
        ),
        ({"n": "{params.seeds}"}, {"seeds": ["a", 1]}, {"n": ["a", 1]}),
        ({"n": "{params.seeds!csv}"}, {"seeds": ["a", 1]}, {"n": "a,1"}),
        ({"n": "{params.seeds!json}"}, {"seeds": ["a", 1]}, {"n": '["a",1]'}),
        ({"n": "{null}", "fixed": "rye"}, {}, {"n": None, "fixed": "rye"}),
        (
            {"n": "{job}", "deep": {"er": "j-{job}"}},
            {},
            {"n": "our-id", "deep": {"er": "j-our-id"}},
        ),
        ({"n": "{params.kind}", "m": 1}, {}, {"m": 1}),
        ({"n": "a {params.kind}", "m": ["{params.kind}"]}, {}, {"m": []}),
        ({"n": "{params.kind}"}, {"kind": ""}, {"n": ""}),
        ({"n": "{ ref } {x} {{a}}"}, {}, {"n": "{ ref } {x} {{a}}"}),
        (
            {"n": "{params.kind}"},
            {"kind": "{params.size}{job}"},
            {"n": "{params.size}{job}"},
        ),
        ("{params.seeds}", {"seeds": [1]}, [1]),
        (["{params.size}"], {}, [3]),
    ],
)
async def test_json_is_filled_in_with_the_types_of_the_values(
    oven: Oven, backend: Backend, shape: Any, params: dict[str, Any], body: Any
) -> None:
    request = await sent(backend, oven, starting(json=shape), **params)

    assert json.loads(oven.bodies[-1]) == body
    assert request.content_type == "application/json"


@pytest.mark.parametrize(
    ("fields", "params", "pairs"),
    [
        ({"a": "{params.size}", "b": "x y&z=1"}, {}, [("a", "3"), ("b", "x y&z=1")]),
        ({"a": "{params.kind}", "b": 1}, {}, [("b", "1")]),
        (
            {"a": "{params.is_hot}", "b": True},
            {"is_hot": False},
            [("a", "false"), ("b", "true")],
        ),
        ({"a": "{params.seeds}"}, {"seeds": ["x", 2]}, [("a", "x"), ("a", "2")]),
        ({"a": ["{params.size}", "q"]}, {}, [("a", "3"), ("a", "q")]),
        ({"a": "D={params.size}"}, {}, [("a", "D=3")]),
        ({"a": "{params.kind}"}, {"kind": "1&b=2"}, [("a", "1&b=2")]),
        ({"a": "{null}"}, {}, [("a", "")]),
    ],
)
async def test_a_form_and_a_query_have_the_same_rules(
    oven: Oven,
    backend: Backend,
    fields: Any,
    params: dict[str, Any],
    pairs: list[tuple[str, str]],
) -> None:
    request = await sent(backend, oven, starting(form=fields), **params)
    assert parse_qsl(oven.bodies[-1].decode(), keep_blank_values=True) == pairs
    assert request.content_type == "application/x-www-form-urlencoded"

    request = await sent(backend, oven, starting(query=fields), **params)
    assert list(request.query.items()) == pairs


async def test_a_query_is_added_to_that_of_the_path(
    oven: Oven, backend: Backend
) -> None:
    recipe = starting("POST /loaves?a=1", query={"b": "{params.size}"})

    request = await sent(backend, oven, recipe)

    assert request.rel_url.raw_path_qs == "/loaves?a=1&b=3"


async def test_a_text_is_the_whole_body(oven: Oven, backend: Backend) -> None:
    text = "SELECT * FROM loaves WHERE size = {params.size} -- {curly}"

    request = await sent(backend, oven, starting(text=text))

    assert oven.bodies[-1] == b"SELECT * FROM loaves WHERE size = 3 -- {curly}"
    assert request.content_type == "text/plain"


async def test_headers_are_filled_in_and_win_over_those_of_all_calls(
    oven: Oven, backend: Backend
) -> None:
    headers = {
        "X-Size": "{params.size}",
        "X-Kind": "{params.kind}",
        "authorization": "Token t",
        "Content-Type": "application/x-amz-json-1.1",
    }

    request = await sent(backend, oven, starting(headers=headers, json={}))

    assert request.headers["X-Size"] == "3"
    assert "X-Kind" not in request.headers
    assert request.headers.getall("Authorization") == ["Token t"]
    assert request.headers.getall("Content-Type") == ["application/x-amz-json-1.1"]


async def test_params_may_stand_in_the_path(oven: Oven, backend: Backend) -> None:
    recipe = starting("POST /ovens/{params.oven}/{params.size}?by={job}")

    request = await sent(backend, oven, recipe, oven="a/b ?#%")

    assert request.rel_url.raw_path_qs == "/ovens/a%2Fb%20%3F%23%25/3?by=our-id"
    assert oven.bodies[-1] == b""


async def test_a_start_that_names_no_param_sends_all_as_json(
    oven: Oven, backend: Backend
) -> None:
    await sent(backend, oven, starting(query={"wait": False}))
    assert json.loads(oven.bodies[-1]) == {"size": 3, "oven": "left"}

    await sent(backend, oven, starting("GET /start"))
    assert oven.bodies[-1] == b""


async def test_what_all_calls_have_in_common_is_said_once(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(
        every={
            "request": "POST /rpc",
            "json": {"jsonrpc": "2.0", "id": "{job}", "params": {"secret": "s"}},
            "query": {"key": "k"},
        },
        params=PARAMS,
        start={
            "json": {"method": "add", "params": {"n": "{params.size}"}},
            "ref": "result",
        },
        status=OVEN["status"]
        | {"json": {"method": "tell", "params": ["{ref}"]}, "request": "PUT /tell"},
        cancel={"form": {"gid": "{ref}"}},
    )
    oven.says({"result": "g1"})
    assert (await ours.start("our-id", {"size": 3})).ref == "g1"
    oven.says({"state": "baking"})
    job = Handle("g1", "our-id", {"size": 3})
    assert isinstance((await ours.reports([job]))[0], Report)
    await ours.send(Action.CANCEL, job)

    started, told, cancelled = oven.bodies
    assert json.loads(started) == {
        "jsonrpc": "2.0",
        "id": "our-id",
        "method": "add",
        "params": {"secret": "s", "n": 3},
    }
    assert json.loads(told)["params"] == ["g1"]
    assert cancelled == b"gid=g1"
    assert [f"{each.method} {each.rel_url.raw_path_qs}" for each in oven.asked] == [
        *("POST /rpc?key=k", "PUT /tell?key=k", "POST /rpc?key=k")
    ]


async def test_each_call_may_name_the_params_and_our_id(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(
        params=PARAMS,
        status=OVEN["status"] | {"query": {"group": "{job}", "kind": "{params.kind}"}},
        result={"request": "GET /loaves/{ref}", "query": {"size": "{params.size}"}},
    )
    job = Handle("7", "our-id", {"size": 3, "kind": "rye"})

    oven.says({"state": "baking"})
    assert isinstance((await ours.reports([job]))[0], Report)
    async with ours.result(job):
        pass

    assert [each.rel_url.raw_path_qs for each in oven.asked] == [
        *("/loaves/7?group=our-id&kind=rye", "/loaves/7?size=3")
    ]


async def test_a_bulk_call_may_have_the_refs_in_its_body(
    oven: Oven, backend: Backend
) -> None:
    bulk = {"request": "POST /list", "items": "@", "ref": "id"}
    oven.says([{"id": "8", "state": "baking"}])
    for shape, body in (("{refs}", ["7", "8"]), ("{refs!csv}", "7,8")):
        ours = backend(bulk=bulk | {"json": {"ids": shape}})

        _, found = await ours.reports([Handle("7"), Handle("8")])

        assert isinstance(found, Report)
        assert json.loads(oven.bodies[-1]) == {"ids": body}


async def test_a_ref_that_is_a_number_stays_one(oven: Oven, backend: Backend) -> None:
    status = OVEN["status"] | {"request": "POST /status", "json": {"id": "{ref}"}}
    number = {"body": "id", "type": "number"}
    start = {"request": "POST /loaves", "ref": number}

    oven.says({"id": 7, "state": "baking"})
    ours = backend(start=start, status=status)
    assert (await ours.start("a-job", {})).ref == "7"
    await report(ours, "7")
    assert json.loads(oven.bodies[-1]) == {"id": 7}

    await report(backend(status=status), "7")
    assert json.loads(oven.bodies[-1]) == {"id": "7"}


async def test_a_ref_may_keep_its_slashes(oven: Oven, backend: Backend) -> None:
    oven.says({"state": "baking"})
    ours = backend(status=OVEN["status"] | {"request": "GET /v1/{ref/}:get"})

    await report(ours, "projects/a b/jobs/7")

    assert oven.asked[0].rel_url.raw_path == "/v1/projects/a%20b/jobs/7:get"


async def test_a_user_and_a_password_are_sent_as_basic(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"state": "baking"})

    await report(backend(headers={}, basic={"user": "ann", "password": "ä:b"}))

    expected = "Basic " + b64encode("ann:ä:b".encode()).decode()
    assert oven.asked[0].headers["Authorization"] == expected


async def test_a_status_that_is_accepted_is_a_success(
    oven: Oven, backend: Backend
) -> None:
    ours = backend(
        start={"request": "POST /loaves", "ref": REF, "accept": [303, 409]},
        status=OVEN["status"] | {"accept": [404]},
        cancel={"request": "DELETE /loaves/{ref}", "accept": [304]},
    )
    for status in (303, 409):
        oven.says({"id": "7"}, status)
        assert (await ours.start("a-job", {})).ref == "7"
    oven.says({"state": "baking"}, 404)
    assert isinstance(await report(ours), Report)
    oven.says(b"", 304)
    await ours.send(Action.CANCEL, Handle("7"))


NASTY = ["..", ".", "", "../x", "a/../b", "a\\..\\b", "./"]


@pytest.mark.parametrize("value", NASTY)
async def test_a_param_that_would_change_the_path_is_refused(
    oven: Oven, backend: Backend, value: str
) -> None:
    ours = backend(**starting("POST /ovens/{params.oven}/start"))

    with pytest.raises(ParamsError, match=r"The value oven cannot be a part"):
        ours.check({"size": 1, "oven": value})
    with pytest.raises(BackendError) as refused:
        await ours.start("a-job", {"size": 1, "oven": value})

    assert (refused.value.code, refused.value.permanent) == ("unfit", True)
    assert oven.asked == []


@pytest.mark.parametrize("ref", ["..", ".", "../x", "a/../../b", "x" * 2001])
async def test_a_service_may_not_give_such_a_name_either(
    oven: Oven, backend: Backend, ref: str
) -> None:
    oven.says({"id": ref})

    for changes in (
        {},
        {"bulk": {"request": "GET /all/{refs}", "items": "@", "ref": "id"}},
    ):
        with pytest.raises(BackendError, match="did not say where"):
            await backend(**changes).start("a-job", {})


async def test_a_name_that_is_no_address_does_not_become_a_host(
    oven: Oven, backend: Backend
) -> None:
    """As when a recipe has changed, and older jobs have other names."""
    ours = backend(status=OVEN["status"] | {"request": "GET {ref}"})

    for ref in ("7", "@evil.example/", ".evil.example", "", "http://evil.example/"):
        error = await report(ours, ref)
        assert isinstance(error, BackendError)
        assert error.code == "unfit"
    assert oven.asked == []


async def test_a_name_of_ours_that_does_not_fit_starts_nothing(
    oven: Oven, backend: Backend
) -> None:
    ref = {"value": "{params.oven}"}
    ours = backend(params=PARAMS, start={"request": "POST /loaves", "ref": ref})

    for value in ("", "..", "x" * 2001):
        with pytest.raises(BackendError) as refused:
            await ours.start("a-job", {"oven": value})
        assert refused.value.permanent
    assert oven.asked == []


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00", "a\x7f"])
async def test_a_header_stays_one_line(
    oven: Oven, backend: Backend, value: str
) -> None:
    ours = backend(**starting(headers={"X-Kind": "{params.kind}"}))

    with pytest.raises(ParamsError, match="The value kind must be one line of text"):
        ours.check({"size": 1, "kind": value})
    with pytest.raises(BackendError, match="one line"):
        await ours.start("a-job", {"size": 1, "kind": value})
    assert oven.asked == []


async def test_in_a_text_a_pattern_must_fit_the_whole_param(
    oven: Oven, backend: Backend
) -> None:
    """As a part of a text, JSON Schema's search would be no fence at all."""
    day = {"type": "string", "pattern": r"\d{4}-\d\d-\d\d$|none"}
    ours = backend(
        params={"properties": {"day": day}, "required": ["day"]},
        start={"request": "POST /sql", "text": "DAY '{params.day}'", "ref": REF},
    )

    assert ours.check({"day": "2026-01-31"})
    for value in ("'; DROP 2026-01-31", "2026-01-31\n", "none of it"):
        with pytest.raises(ParamsError, match="The parameter day does not fit"):
            ours.check({"day": value})
