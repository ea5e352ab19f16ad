"""Shipped recipes against recorded answers, for services that cannot run here.

This is no proof that a service answers so today, only that the recipe sends and reads
what its documentation shows.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from actors.backends import BackendError, Handle, Report
from actors.backends.http import HttpBackend
from actors.backends.offered import SERVICES
from actors.recipes.load import load_recipe
from actors.requests import Action
from tests.support.recorded import NAMES, Play, replayed

JOB = "Jk3v-0123456789_abcdef"
STARTED = "2026-01-01T12:00:00.000Z"
TRIED = {"aria2", "rclone", "scrapyd"}  # against the real servers, beside this file


@pytest.mark.parametrize("name", NAMES)
async def test_a_recipe_speaks_as_the_documentation_says(name: str) -> None:
    play = Play.read(name)

    async with replayed(play.calls) as replay:
        ref, reports = await act(play, replay.url)

    assert replay.mistakes == []
    assert replay.left == []
    assert ref == play.ref
    assert reports == play.reports


async def test_a_request_that_differs_from_the_recorded_one_is_noticed() -> None:
    play = Play.read("gitlab-ci")
    play.calls[0].sends = {"ref": "another"}
    play.calls[1].request += "/jobs"
    more = [*play.calls, play.calls[-1]]

    async with replayed(more) as replay:
        await act(play, replay.url)

    assert [mistake.partition(":")[0] for mistake in replay.mistakes] == [
        *("body", "request"),
    ]
    assert replay.left == [more[-1].request]


async def act(play: Play, url: str) -> tuple[str, list[dict[str, Any] | str]]:
    """Make all calls; returns the ref, and each report, error code, or result."""
    environ = {name: text.replace("{url}", url) for name, text in play.environ.items()}
    recipe = load_recipe(SERVICES / f"{play.name}.toml", environ)
    backend = HttpBackend(play.name, recipe, 200, 2000)
    job = Handle("", JOB, backend.check(play.params), STARTED)
    first, reports = "", []
    for action in play.actions:
        if action == "start":
            begun = await backend.start(JOB, job.params)
            first = begun.ref
            job = job._replace(ref=first, kept=begun.kept)
        elif action == "status":
            [answer] = await backend.reports([job])
            reports.append(said(answer))
            job = after(answer, job)
        elif action == "result":
            async with backend.result(job) as file:
                parts = [part async for part in file.chunks()]
            reports.append(b"".join(parts).decode())
        else:
            await backend.send(Action(action), job)
            job = job._replace(is_stopped=job.is_stopped or action == "cancel")
    await backend.close()
    return first, reports


def after(answer: Report | BackendError, job: Handle) -> Handle:
    """The job with all that its worker would remember of an answer."""
    if not isinstance(answer, Report):
        return job
    return job._replace(ref=answer.ref or job.ref, kept={**job.kept, **answer.kept})


def said(answer: Report | BackendError) -> dict[str, Any] | str:
    """All that people see of a report, without the fields that it leaves open."""
    if not isinstance(answer, Report):
        return answer.code
    seen = replace(answer, kept={}, ref=None, is_seen=True)
    shown = msgspec.json.decode(msgspec.json.encode(seen))
    return {
        name: value
        for name, value in shown.items()
        if name != "is_seen" and value not in (None, {})
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_says_where_each_answer_is_documented(name: str) -> None:
    for call in Play.read(name).calls:
        assert call.documented_at.startswith("https://")


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_covers_every_call_and_status_of_its_recipe(name: str) -> None:
    play = Play.read(name)
    environ = {k: v.replace("{url}", "http://x") for k, v in play.environ.items()}
    recipe = load_recipe(SERVICES / f"{name}.toml", environ)

    calls = {name.partition(".")[0] for name in recipe.calls}
    assert {call.action for call in play.calls} == calls
    ends = {each["status"] for each in play.reports if isinstance(each, dict)}
    assert ends >= {"succeeded", "failed"}
    assert "cancelled" in ends or not recipe.cancel


def test_every_shipped_recipe_is_tested_in_one_way_or_the_other() -> None:
    shipped = {path.stem for path in SERVICES.glob("*.toml")}

    assert shipped == TRIED | set(NAMES)
