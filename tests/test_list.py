"""A service that lists its jobs: people choose one to adopt, a lost start is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from dramatiq.brokers.stub import StubBroker
from quart import Quart

from actors.backends import Adoptable, BackendError
from actors.limits import MAX_LISTED
from actors.recipes.load import RecipeError
from actors.recipes.params import ParamsError
from actors.store import Store
from command.output import Output
from command.prover import Prover
from command.secrets import Mask

from .conftest import Serving
from .support.jobs import ALICE, BOB, TOKENS
from .support.kitchen import working
from .support.oven import BY_ADDRESS, OVEN, Backend, Oven, toml

ADOPT = {"pattern": "[0-9a-f]{1,4}", "title": "Tray"}
LIST: dict[str, Any] = {
    "request": "GET /loaves",
    "items": "loaves",
    "ref": "id",
    "title": "name",
}
LISTED = {"adopt": ADOPT, "list": LIST}
MARKED = {"list": LIST | {"mark": "name"}}


async def refs(backend: Any) -> list[str]:
    return [each.ref for each in await backend.adoptable()]


async def test_the_jobs_of_a_service_are_listed(oven: Oven, backend: Backend) -> None:
    ours = backend(**LISTED)
    loaves = [{"id": "1a", "name": "Rye"}, {"id": 2, "name": None}, {"id": "1a"}]
    oven.says({"loaves": loaves})

    found = await ours.adoptable()

    assert ours.lists
    assert found == [Adoptable("1a", "Rye"), Adoptable("2")]


@pytest.mark.parametrize(
    "item", [{"id": "../1"}, {"id": None}, {"id": True}, {"id": [1]}, {}, None, 7, "1a"]
)
async def test_what_has_no_name_that_fits_is_left_out(
    oven: Oven, backend: Backend, item: Any
) -> None:
    oven.says({"loaves": [item, {"id": "1a"}]})

    assert await refs(backend(**LISTED)) == ["1a"]


async def test_a_long_list_and_a_long_title_are_cut(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"loaves": [{"id": f"{n:x}", "name": "x" * 500} for n in range(999)]})

    found = await backend(**LISTED).adoptable()

    assert len(found) == MAX_LISTED
    assert len(found[0].title or "") == 200


async def test_a_name_that_is_listed_very_often_is_checked_once(
    oven: Oven, backend: Backend
) -> None:
    ours, checked = backend(**LISTED), []
    oven.says({"loaves": [{"id": "../1"}, {"id": "1a"}] * 20_000})

    def check_ref(ref: str) -> str:
        checked.append(ref)
        return ours.check_ref(ref)

    assert [each.ref for each in await ours._lister.adoptable(check_ref)] == ["1a"]
    assert checked == ["../1", "1a"]


async def test_a_long_list_of_names_that_do_not_fit_holds_up_nobody(
    oven: Oven, backend: Backend
) -> None:
    ours, turns, seen = backend(**LISTED), 0, set()
    oven.says({"loaves": [{"id": f"z{n}"} for n in range(20_000)]})

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def check_ref(ref: str) -> str:
        seen.add(turns)
        return ours.check_ref(ref)

    ticking = asyncio.create_task(tick())
    assert await ours._lister.adoptable(check_ref) == []
    ticking.cancel()

    assert len(seen) >= 40


def test_a_name_that_is_too_long_is_not_compared_with_a_pattern(
    backend: Backend,
) -> None:
    ours = backend(adopt={"pattern": "(x+x+)+y"})

    with pytest.raises(ParamsError):
        ours.check_ref("x" * 3000)


async def test_items_may_be_an_object_by_name(oven: Oven, backend: Backend) -> None:
    oven.says({"1a": {"name": "Rye"}, "no!": {}, "2b": {}})
    rule = {"request": "GET /loaves", "items": "@", "title": "name"}

    found = await backend(adopt=ADOPT, list=rule).adoptable()

    assert found == [Adoptable("1a", "Rye"), Adoptable("2b")]


async def test_only_some_items_may_count(oven: Oven, backend: Backend) -> None:
    oven.says({"loaves": [{"id": "1", "state": "on"}, {"id": "2", "state": "off"}]})
    rule = LIST | {"items": "loaves[?state == 'on']"}

    assert await refs(backend(adopt=ADOPT, list=rule)) == ["1"]


@pytest.mark.parametrize(("is_optional", "found"), [(True, ["1"]), (False, None)])
async def test_a_list_may_need_several_calls(
    oven: Oven, backend: Backend, is_optional: bool, found: list[str] | None
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/waiting":
            return web.Response(status=500)
        return web.json_response({"loaves": [{"id": "1"}]})

    oven.answer = answer
    calls = {
        "active": {"request": "GET /active"},
        "waiting": {"request": "GET /waiting", "optional": is_optional},
    }
    ours = backend(
        adopt=ADOPT,
        list={"calls": calls, "items": "[active.loaves, waiting][]", "ref": "id"},
    )

    if found:
        assert await refs(ours) == found
    else:
        with pytest.raises(BackendError) as error:
            await ours.adoptable()
        assert error.value.code == "http_500"


async def test_a_name_may_be_an_address(oven: Oven, backend: Backend) -> None:
    adopt = {"pattern": "/loaves/[0-9]+"}
    addresses = ["/loaves/1", f"{oven.url}/loaves/2", "http://evil.example/loaves/3"]
    oven.says({"loaves": [{"id": each} for each in addresses]})

    ours = backend(adopt=adopt, list=LIST, **BY_ADDRESS)

    assert await refs(ours) == ["/loaves/1", "/loaves/2"]


@pytest.mark.parametrize("body", [{"loaves": None}, {"loaves": []}, {}])
async def test_nothing_may_run_there(oven: Oven, backend: Backend, body: Any) -> None:
    oven.says(body)

    assert await refs(backend(**LISTED)) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"loaves": {"id": "1"}}, 200, "unexpected_answer"),
        ({"loaves": 7}, 200, "unexpected_answer"),
        (b"<html>", 200, "unexpected_answer"),
        ({}, 404, "http_404"),
        ({}, 500, "http_500"),
        ({"error": "no"}, 200, "refused"),
    ],
)
async def test_a_list_that_cannot_be_read_is_said(
    oven: Oven, backend: Backend, body: Any, status: int, code: str
) -> None:
    oven.says(body, status)
    ours = backend(refused={"when": "error"}, **LISTED)

    with pytest.raises(BackendError) as error:
        await ours.adoptable()

    assert error.value.code == code
    assert not error.value.permanent


@pytest.mark.parametrize(
    ("loaves", "found"),
    [
        ([], None),
        (None, None),
        ([{"id": 1, "name": "another"}, {"id": 7, "name": "our-id"}], "7"),
        ([{"id": 1}, None, 3, {"id": 8, "name": "a loaf: our-id"}], "8"),
        ([{"id": 1, "name": "our-i"}, {"id": 2, "name": ["our-id"]}], None),
    ],
)
async def test_a_start_is_found_in_the_list_by_its_mark(
    oven: Oven, backend: Backend, loaves: Any, found: str | None
) -> None:
    async def answer(request: web.Request) -> web.Response:
        is_list = request.method == "GET"
        return web.json_response({"loaves": loaves} if is_list else {"id": 99})

    oven.answer = answer
    ours = backend(**MARKED)

    begun = await ours.start("our-id", {})

    assert not ours.starts_once
    assert begun.ref == (found or "99")
    methods = [request.method for request in oven.asked]
    assert methods == ["GET", *([] if found else ["POST"])]


async def test_nothing_is_started_if_the_list_cannot_be_read(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"loaves": {"id": 7, "name": "our-id"}})

    with pytest.raises(BackendError) as error:
        await backend(**MARKED).start("our-id", {})

    assert not error.value.permanent
    assert [request.method for request in oven.asked] == ["GET"]


async def test_values_of_the_item_are_kept(oven: Oven, backend: Backend) -> None:
    oven.says({"loaves": [{"id": 7, "name": "our-id", "tin": {"number": 3}}]})
    rule = MARKED["list"] | {"keep": {"tin": "tin.number"}}
    ours = backend(list=rule, cancel={"request": "DELETE /tins/{tin}/{ref}"})

    begun = await ours.start("our-id", {})

    assert begun.kept == {"tin": 3}


async def test_a_start_whose_answer_was_lost_goes_on_without_a_second_one(
    oven: Oven, backend: Backend, store: Store, redis_url: str
) -> None:
    loaves: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            loaves.append({"id": str(7 + len(loaves)), **await request.json()})
            assert request.transport
            request.transport.abort()
            return web.Response()
        if request.path == "/loaves":
            return web.json_response({"loaves": loaves})
        return web.json_response({"state": "baked"})

    oven.answer = answer
    start = {"request": "POST /loaves", "json": {"name": "{job}"}, "ref": "id"}
    ours = backend(start=start, **MARKED)

    async with working(StubBroker([]), store, ours, redis_url, 10) as kitchen:
        ended = await kitchen.end(await kitchen.submit())

    assert (ended.status, ended.error) == ("succeeded", None)
    assert len(loaves) == 1


@pytest.mark.parametrize(
    ("trouble", "code"), [("lost", "start_unknown"), ("refused", "http_503")]
)
async def test_a_lost_start_that_cannot_be_looked_for_may_be_running(
    oven: Oven, backend: Backend, store: Store, redis_url: str, trouble: str, code: str
) -> None:
    starts = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            starts.append(request)
            assert request.transport
            request.transport.abort()
            return web.Response()
        if starts or trouble == "refused":
            return web.Response(status=503)
        return web.json_response({"loaves": []})

    oven.answer = answer
    ours = backend(**MARKED)

    async with working(StubBroker([]), store, ours, redis_url, 10) as kitchen:
        ended = await kitchen.end(await kitchen.submit())

    assert ended.error
    assert ended.error.code == code
    assert len(starts) == (1 if trouble == "lost" else 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"list": LIST}, "needs `mark` here, or [adopt] - at `$.list`"),
        ({"list": LIST | {"request": "GET /{ref}"}}, "{ref} is not known in this call"),
        ({"list": LIST | {"query": {"x": "{job}"}}}, "{job} is not known in this call"),
        ({"list": LIST | {"itms": "x"}}, "`itms` is not a key - at `$.list`"),
        ({"list": {"request": "GET /"}}, "the key `items` is missing - at `$.list`"),
        (
            MARKED
            | {"start": OVEN["start"] | {"find": {"request": "GET /", "ref": "id"}}},
            "needs this or `start.find`, not both - at `$.list.mark`",
        ),
        (
            {
                "list": {
                    "calls": {"active": {"request": "GET /active"}},
                    "items": "actve.loaves",
                    "mark": "name",
                }
            },
            "(active) - at `$.list.items`; did you mean `active`?",
        ),
        (
            {
                "list": {
                    "calls": {"active": {"request": "GET /", "keep": {"tin": "tin"}}},
                    "items": "active",
                    "mark": "name",
                }
            },
            "needs a list of one call - at `$.list.calls.active.keep`",
        ),
    ],
)
def test_a_slip_in_a_list_is_found_when_it_is_loaded(
    backend: Backend, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(RecipeError) as mistake:
        backend(**changes)

    assert says in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_the_list_of_a_find_is_the_one_list(backend: Backend) -> None:
    find = {"request": "GET /loaves", "ref": "id", "items": "loaves", "mark": "name"}

    with pytest.raises(RecipeError, match=r"is not a key - at `\$\.start\.find`"):
        backend(start=OVEN["start"] | {"find": find})


@pytest.mark.parametrize(("mark", "holds"), [("name", True), ("nam", False)])
async def test_the_prover_looks_for_its_job_in_the_list(
    oven: Oven, backend: Backend, mark: str, holds: bool
) -> None:
    loaves: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            loaves.append({"id": str(7 + len(loaves)), **await request.json()})
            return web.json_response(loaves[-1])
        if request.path == "/loaves":
            return web.json_response({"loaves": loaves})
        return web.json_response({"state": "baked"})

    oven.answer = answer
    start = {"request": "POST /loaves", "json": {"name": "{job}"}, "ref": "id"}
    ours = backend(start=start, adopt=ADOPT, list=LIST | {"mark": mark})
    with open("/dev/null", "w") as nowhere:  # noqa: ASYNC230
        prover = Prover("oven", ours._recipe, {}, Output(nowhere, Mask([])))
        found = await prover.run(only_watch=True, timeout_s=5)

    claims = {each.claim: each.holds for each in found}
    assert claims["list.mark: the new job is found"] is holds
    assert claims["list: the new job is in it"] is True


@pytest.fixture
async def served(serving: Serving, oven: Oven, tmp_path: Path) -> AsyncIterator[Quart]:
    for name, more in (("oven", LISTED), ("stove", {"adopt": ADOPT})):
        tables = OVEN | {"url": oven.url} | more
        text = "\n".join(f"{key} = {toml(each)}" for key, each in tables.items())
        (tmp_path / f"{name}.toml").write_text(text)
    oven.says({"loaves": [{"id": "1a", "name": "<Rye>"}, {"id": "2b"}]})
    async with serving(recipes=(tmp_path,), api_tokens=TOKENS) as app:
        yield app


async def asked(app: Quart, path: str, headers: dict[str, str] = ALICE) -> Any:
    answer = await app.test_client().get(path, headers=headers)
    return answer.status_code, msgspec.json.decode(await answer.get_data())


async def test_a_program_reads_the_list(served: Quart) -> None:
    status, said = await asked(served, "/backends/oven/jobs")

    assert status == 200
    assert said == {
        "jobs": [{"ref": "1a", "title": "<Rye>"}, {"ref": "2b", "title": None}]
    }
    _, catalogue = await asked(served, "/backends")
    lists = {each["name"]: each["lists"] for each in catalogue["backends"]}
    assert (lists["oven"], lists["stove"]) == (True, False)


async def test_what_one_watches_already_is_not_offered(served: Quart) -> None:
    order = {"backend": "oven", "ref": "1a"}
    await served.test_client().post("/jobs", json=order, headers=ALICE)

    _, hers = await asked(served, "/backends/oven/jobs")
    _, his = await asked(served, "/backends/oven/jobs", BOB)

    assert [each["ref"] for each in hers["jobs"]] == ["2b"]
    assert [each["ref"] for each in his["jobs"]] == ["1a", "2b"]


async def test_the_service_is_not_asked_for_each_who_asks(
    oven: Oven, served: Quart
) -> None:
    for _ in range(20):
        await asked(served, "/backends/oven/jobs")

    assert len(oven.asked) == 1


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("none", 404, "unknown_backend"), ("stove", 409, "cannot_list")],
)
async def test_who_has_no_list_is_told_so(
    served: Quart, name: str, status: int, code: str
) -> None:
    got, said = await asked(served, f"/backends/{name}/jobs")

    assert (got, said["code"]) == (status, code)


async def test_a_service_that_is_away_gives_a_sentence(
    oven: Oven, served: Quart
) -> None:
    oven.says(status=503)

    status, said = await asked(served, "/backends/oven/jobs")
    page = await served.test_client().get("/?running=oven", headers=ALICE)

    assert (status, said["code"]) == (502, "http_503")
    assert page.status_code == 200
    assert said["detail"] in (await page.get_data()).decode()


async def test_the_page_offers_what_runs_there_without_javascript(
    served: Quart,
) -> None:
    client = served.test_client()
    plain = (await (await client.get("/", headers=ALICE)).get_data()).decode()
    answer = await client.get("/?running=oven", headers=ALICE)
    html = (await answer.get_data()).decode()

    assert plain.count("Show what runs there") == 1
    assert '<details class="adopt" open>' not in plain
    assert html.count('<details class="adopt" open>') == 1
    assert '<button name="ref" value="1a">Watch &lt;Rye&gt;' in html
    assert '<button name="ref" value="2b">Watch 2b' in html


async def test_the_page_says_that_nothing_runs_there(oven: Oven, served: Quart) -> None:
    oven.says({"loaves": []})

    answer = await served.test_client().get("/?running=oven", headers=ALICE)

    assert "Nothing runs there" in (await answer.get_data()).decode()
