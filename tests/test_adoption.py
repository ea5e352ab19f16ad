"""Jobs that others have started at a service are watched from then on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from quart import Quart

from actors import Action, NotPossibleError, ParamsError, adopt, request
from actors.settings import SHIPPED_RECIPES
from actors.status import Status

from .conftest import Serving
from .support.kitchen import DONE, Kitchen, at
from .support.oven import BY_ADDRESS, Backend

RECIPE = """
title = "Oven"
url = "http://127.0.0.1:9"
adopt = { pattern = "[0-9a-f]{4}", title = "Tray" }
start = { request = "POST /loaves", ref = "id" }
[status]
request = "GET /loaves/{ref}"
state = "state"
states = { succeeded = ["baked"], failed = [] }
"""


async def test_a_job_that_was_started_elsewhere_is_watched_to_its_end(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.by_job["77"] = [at(10), at(60), DONE]

    job = await adopt(kitchen.store, kitchen.oven, "77", owner="ann")
    ended = await kitchen.end(job.job)

    assert (job.status, job.adopted, job.params) == (Status.RUNNING, True, {})
    assert ended.status is Status.SUCCEEDED
    assert kitchen.oven.started == []
    assert {handle.ref for handle in kitchen.oven.handles} == {"77"}


async def test_an_adopted_job_can_be_stopped(kitchen: Kitchen) -> None:
    kitchen.oven.by_job["77"] = [at(10)]
    job = await adopt(kitchen.store, kitchen.oven, "77", owner="ann")

    await request(kitchen.store, job.job, Action.CANCEL, owner="ann")
    await kitchen.happens(lambda: kitchen.oven.requests)

    assert kitchen.oven.requests[0] == (Action.CANCEL, "77")


async def test_only_what_the_recipe_allows_is_adopted(kitchen: Kitchen) -> None:
    with pytest.raises(ParamsError):
        await adopt(kitchen.store, kitchen.oven, "../77", owner="ann")

    kitchen.oven.adopt_title = None
    with pytest.raises(NotPossibleError):
        await adopt(kitchen.store, kitchen.oven, "77", owner="ann")


@pytest.mark.parametrize(
    "ref",
    [
        *("", "7", "12345", "12g4", "1234\n", "1234/..", " 1234"),
        *("//evil.example/x", "/a\r\nX: y", "http://127.0.0.1:9/1234"),
    ],
)
def test_a_name_that_does_not_fit_is_refused(backend: Backend, ref: str) -> None:
    by_name = backend(adopt={"pattern": "[0-9a-f]{4}"})
    by_address = backend(adopt={"pattern": "(?s).*"}, **BY_ADDRESS)

    with pytest.raises(ParamsError):
        by_name.check_ref(ref)
    if not ref.isalnum():
        with pytest.raises(ParamsError):
            by_address.check_ref(ref)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"backend": "oven", "ref": "12ab"}, 202, None),
        ({"backend": "oven", "ref": "nope"}, 422, "bad_ref"),
        ({"backend": "counter", "ref": "12ab"}, 409, "cannot_adopt"),
        ({"backend": "none", "ref": "12ab"}, 422, "unknown_backend"),
        ({"ref": "12ab"}, 422, "bad_shape"),
        ({"backend": "oven", "ref": "12ab", "params": {"a": 1}}, 422, "bad_shape"),
        ({"backend": "oven", "ref": 12}, 422, "bad_shape"),
    ],
)
async def test_a_ref_instead_of_params_adopts(
    serving: Serving, tmp_path: Path, body: dict[str, Any], status: int, code: str
) -> None:
    (tmp_path / "oven.toml").write_text(RECIPE)
    async with serving(recipes=(SHIPPED_RECIPES, tmp_path)) as app:
        response = await _post(app, body)
        answer = msgspec.json.decode(await response.get_data())

    assert response.status_code == status
    assert answer.get("code") == code
    if status == 202:
        assert (answer["status"], answer["adopted"]) == ("running", True)


async def test_backends_say_how_a_name_to_adopt_is_called(
    serving: Serving, tmp_path: Path
) -> None:
    (tmp_path / "oven.toml").write_text(RECIPE)
    async with serving(recipes=(SHIPPED_RECIPES, tmp_path)) as app:
        response = await app.test_client().get("/backends")
        listed = (await response.get_json())["backends"]

    adopts = {backend["name"]: backend["adopt"] for backend in listed}
    assert (adopts["oven"], adopts["counter"]) == ("Tray", None)


async def _post(app: Quart, body: dict[str, Any]) -> Any:
    return await app.test_client().post("/jobs", json=body)
