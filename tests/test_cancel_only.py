"""A stop that works only for a while is only offered for so long."""

from __future__ import annotations

import pytest

from actors import Action, NotPossibleError, request
from actors.backends import BackendError, Report
from actors.recipes.load import RecipeError
from actors.status import Status

from .support.kitchen import Kitchen
from .support.oven import Backend, Oven, report

QUEUED = Report(status=Status.QUEUED, can=("cancel",))
RUNNING = Report(status=Status.RUNNING, can=())


@pytest.mark.parametrize(
    ("state", "can"),
    [("waiting", ("cancel",)), ("baking", ()), ("baked", ())],
)
async def test_the_recipe_says_in_which_statuses_a_stop_works(
    oven: Oven, backend: Backend, state: str, can: tuple[str, ...]
) -> None:
    ours = backend(
        cancel={"request": "DELETE /loaves/{ref}", "only": ["queued"]},
        status={
            "request": "GET /loaves/{ref}",
            "state": "state",
            "states": {
                "queued": ["waiting"],
                "running": ["baking"],
                "succeeded": ["baked"],
                "failed": [],
            },
        },
    )
    oven.says({"state": state})

    told = await report(ours)

    assert not isinstance(told, BackendError)
    assert told.can == can


async def test_a_stop_is_offered_while_it_works(kitchen: Kitchen) -> None:
    kitchen.oven.can = ("cancel",)
    kitchen.oven.answers = [QUEUED]
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.started_at and job.status == "queued")
    assert (await kitchen.job(job)).can == ("cancel",)

    kitchen.oven.answers = [RUNNING]
    running = await kitchen.until(job, lambda job: job.status is Status.RUNNING)

    assert running.can == ()
    with pytest.raises(NotPossibleError):
        await request(kitchen.store, job, Action.CANCEL, owner="ann")
    kitchen.oven.answers = [QUEUED]
    again = await kitchen.until(job, lambda job: job.status is Status.QUEUED)
    assert again.can == ("cancel",)


async def test_a_stop_in_time_is_sent(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [QUEUED]
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.started_at and job.status == "queued")

    stopping = await request(kitchen.store, job, Action.CANCEL, owner="ann")

    assert stopping.can == ()
    assert (await kitchen.end(job)).status is Status.CANCELLED


async def test_a_job_whose_stop_no_longer_works_is_left_at_its_deadline(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.deadline_s = 1
    kitchen.oven.answers = [RUNNING]

    ended = await kitchen.end(await kitchen.submit())

    assert ended.error
    assert ended.error.code == "deadline"
    assert ended.error.message.endswith("It may go on there.")
    assert kitchen.oven.requests == []


@pytest.mark.parametrize(
    ("only", "says"), [(["succeeded"], "must be one of"), ([], "length >= 1")]
)
def test_a_stop_that_never_works_is_a_mistake(
    backend: Backend, only: list[str], says: str
) -> None:
    with pytest.raises(RecipeError, match=rf"{says}.* at `\$\.cancel\.only"):
        backend(cancel={"request": "DELETE /x/{ref}", "only": only})
