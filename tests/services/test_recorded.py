"""Shipped recipes against recorded answers, for services that cannot run here.

This is no proof that a service answers so today, only that the recipe sends and reads
what its documentation shows, or what the real server of one version has said.
"""

from __future__ import annotations

from typing import Any

import pytest

from actors.backends import Handle
from actors.backends.http import HttpBackend
from actors.backends.offered import SERVICES
from actors.recipes.load import load_recipe
from actors.requests import Action
from tests.support.recorded import NAMES, Play, after, replayed, said

JOB = "Jk3v-0123456789_abcdef"
STARTED = "2026-01-01T12:00:00.000Z"
TRIED = {
    "aria2",
    "prefect",
    "rclone",
    "scrapyd",
}  # against the real servers, beside this file


@pytest.mark.parametrize("name", NAMES)
async def test_a_recipe_speaks_as_recorded(name: str) -> None:
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
    last, reports, jobs = "", [], iter(play.jobs)
    for action in play.actions:
        if action == "start":
            job = Handle("", next(jobs, JOB), job.params, STARTED)
            begun = await backend.start(job.job_id, job.params)
            last = begun.ref
            job = job._replace(ref=last, kept=begun.kept)
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
    return last, reports


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_says_where_each_answer_is_from(name: str) -> None:
    for call in Play.read(name).calls:
        is_documented = call.documented_at.startswith("https://")
        assert is_documented != bool(call.recorded_from)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_covers_every_call_and_status_of_its_recipe(name: str) -> None:
    play = Play.read(name)
    environ = {k: v.replace("{url}", "https://x") for k, v in play.environ.items()}
    recipe = load_recipe(SERVICES / f"{name}.toml", environ)

    calls = {name.partition(".")[0] for name in recipe.calls}
    assert {call.action for call in play.calls} == calls
    ends = {each["status"] for each in play.reports if isinstance(each, dict)}
    assert ends >= {"succeeded", "failed"}
    assert "cancelled" in ends or not recipe.cancel


def test_every_shipped_recipe_is_tested_in_one_way_or_the_other() -> None:
    shipped = {path.stem for path in SERVICES.glob("*.toml")}

    assert shipped == TRIED | set(NAMES)
