"""A job that runs for longer than its recipe allows is stopped, and has failed."""

from __future__ import annotations

from datetime import datetime

import pytest

from actors import Action, now_ms, request, timestamp
from actors.job import Job
from actors.status import Status
from actors.store.values import BackendState
from actors.worker.deadline import is_late_beyond_patience

from .support.kitchen import AWAY, DONE, Kitchen, at

SAID = "It took longer than 1 s and was stopped."


def seconds(job: Job) -> float:
    """How long the job has run."""
    assert job.started_at
    assert job.finished_at
    began, ended = map(datetime.fromisoformat, (job.started_at, job.finished_at))
    return (ended - began).total_seconds()


@pytest.fixture
def kitchen_with_deadline(kitchen: Kitchen) -> Kitchen:
    kitchen.oven.deadline_s = 1
    kitchen.oven.answers = [at(10)]
    return kitchen


async def test_a_job_is_stopped_at_its_deadline_and_has_failed(
    kitchen_with_deadline: Kitchen,
) -> None:
    kitchen = kitchen_with_deadline

    job = await kitchen.submit()
    ended = await kitchen.end(job)

    assert (ended.status, ended.progress) == (Status.FAILED, 10)
    assert ended.error
    assert (ended.error.code, ended.error.message) == ("deadline", SAID)
    assert kitchen.oven.requests == [(Action.CANCEL, job)]
    assert seconds(ended) >= 1


async def test_an_end_of_its_own_counts_more_than_the_deadline(
    kitchen_with_deadline: Kitchen,
) -> None:
    kitchen = kitchen_with_deadline
    kitchen.oven.obeyed[Action.CANCEL] = DONE

    ended = await kitchen.end(await kitchen.submit())

    assert (ended.status, ended.error) == (Status.SUCCEEDED, None)


async def test_a_job_that_cannot_be_stopped_is_left_and_its_viewers_are_told(
    kitchen_with_deadline: Kitchen,
) -> None:
    kitchen = kitchen_with_deadline
    kitchen.oven.can = ()

    ended = await kitchen.end(await kitchen.submit())

    assert ended.error
    assert ended.error.code == "deadline"
    assert "may go on there" in ended.error.message
    assert kitchen.oven.requests == []


async def test_the_stop_of_a_viewer_before_the_deadline_stays_one(
    kitchen_with_deadline: Kitchen,
) -> None:
    kitchen = kitchen_with_deadline
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.progress)
    await request(kitchen.store, job, Action.CANCEL, owner="ann")

    ended = await kitchen.end(job)

    assert (ended.status, ended.error) == (Status.CANCELLED, None)


@pytest.mark.parametrize(
    ("overdue_after_s", "age_s", "is_late"),
    [(0, 10_000, False), (5, 64, False), (5, 66, True)],
)
def test_a_backend_that_stays_away_has_a_minute_to_be_told(
    overdue_after_s: int, age_s: int, is_late: bool
) -> None:
    now = now_ms()
    began = timestamp(now - age_s * 1000)
    job = Job(
        job="j", backend="oven", created_at=began, changed_at=began, started_at=began
    )
    state = BackendState(ref="7", overdue_after_s=overdue_after_s)

    assert is_late_beyond_patience(state, job, now) == is_late


async def test_a_stop_that_fails_at_first_is_sent_again(
    kitchen_with_deadline: Kitchen,
) -> None:
    kitchen = kitchen_with_deadline
    kitchen.oven.request_errors = [AWAY, AWAY, None]

    job = await kitchen.submit()
    ended = await kitchen.end(job)

    assert ended.error
    assert ended.error.code == "deadline"
    assert len(kitchen.oven.requests) == 3
