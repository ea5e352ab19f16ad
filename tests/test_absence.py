"""Only what was said of the job itself, twice and for a while, ends it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from actors import Action, now_ms, request, timestamp
from actors.backends import AbsentError, BackendError, Handle, Report
from actors.job import Job
from actors.limits import ABSENT_AFTER_MS, UNSEEN_AFTER_MS
from actors.status import Failure, Status
from actors.store.values import BackendState
from actors.worker.absence import absent_again, is_gone

from .support.kitchen import DONE, GONE, Kitchen, at
from .support.oven import IN_BULK, Backend, Oven, handles

ENDED_FINE = AbsentError("The oven is empty.", Status.SUCCEEDED)


async def test_a_job_that_its_backend_does_not_know_yet_is_only_not_reachable(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.answers = [*[GONE] * 30, at(25), DONE]

    job = await kitchen.watched()
    unseen = await kitchen.until(job, lambda job: not job.reachable)
    ended = await kitchen.end(job)

    assert unseen.status is Status.RUNNING
    assert ended.status is Status.SUCCEEDED
    assert 25 in [told.progress for told in kitchen.of(job)]


@pytest.mark.parametrize("answer", [GONE, ENDED_FINE], ids=["gone", "ended fine"])
async def test_one_answer_that_lacks_the_job_ends_nothing(
    kitchen: Kitchen, answer: AbsentError
) -> None:
    kitchen.oven.answers = [at(10), answer, at(20), answer, answer, at(30), DONE]

    job = await kitchen.watched()
    ended = await kitchen.end(job)

    assert (ended.status, ended.result) == (Status.SUCCEEDED, {"loaves": 2})
    assert 30 in [told.progress for told in kitchen.of(job)]


async def test_an_empty_list_in_between_ends_none_of_its_jobs(kitchen: Kitchen) -> None:
    jobs = [await kitchen.submit() for _ in range(4)]
    for job in jobs:
        kitchen.oven.by_job[job] = [at(10), GONE, at(20), DONE]

    for job in jobs:
        assert (await kitchen.end(job)).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (GONE, Status.FAILED, Failure("gone", "The oven no longer knows this job.")),
        (ENDED_FINE, Status.SUCCEEDED, None),
    ],
    ids=["gone", "ended fine"],
)
async def test_a_job_that_was_seen_and_stays_away_has_ended(
    kitchen: Kitchen, answer: AbsentError, status: Status, error: Failure | None
) -> None:
    kitchen.oven.answers = [at(10), answer]

    ended = await kitchen.end(await kitchen.submit())

    assert (ended.status, ended.error) == (status, error)


async def test_a_stop_before_the_backend_knows_the_job_is_sent_until_it_is_heard(
    kitchen: Kitchen,
) -> None:
    """A service may answer 404 to a stop, too, just after the start."""
    not_there = BackendError("http_404", "There is no such loaf.")
    kitchen.oven.request_errors = [not_there, not_there, None]
    kitchen.oven.answers = [*[GONE] * 8, at(25)]
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.started_at)
    await request(kitchen.store, job, Action.CANCEL, owner="ann")

    ended = await kitchen.end(job)

    assert ended.status is Status.CANCELLED
    assert len(kitchen.oven.requests) == 3


@pytest.mark.parametrize("status", [404, 409, 410])
async def test_a_stop_of_a_job_that_was_not_seen_yet_is_not_taken_as_done(
    oven: Oven, backend: Backend, status: int
) -> None:
    oven.says({"detail": "There is no such loaf."}, status)

    with pytest.raises(BackendError, match="no such loaf") as error:
        await backend().send(Action.CANCEL, Handle("7", is_seen=False))
    await backend().send(Action.CANCEL, Handle("7"))

    assert not error.value.permanent


@pytest.mark.parametrize(
    "body",
    [
        {"loaves": [{"id": "7", "state": "baking"}], "next": "?page=2"},
        {"loaves": [{"id": "7", "state": "baking"}, None, {"id": None}]},
        {"loaves": [{"id": "7", "state": "baking"}, {"id": "08", "state": "baked"}]},
        {"loaves": [{"id": "7", "state": "baking"}, [], "8", 8]},
    ],
)
async def test_a_short_list_says_nothing_final_of_those_that_it_lacks(
    oven: Oven, backend: Backend, body: object
) -> None:
    oven.says(body)

    seven, eight = await backend(**IN_BULK).reports(handles("7", "8"))

    assert isinstance(seven, Report)
    assert isinstance(eight, AbsentError)
    assert not eight.permanent


@given(
    moments=st.lists(st.integers(0, 60_000), min_size=1, max_size=20).map(sorted),
    is_seen=st.booleans(),
)
def test_a_job_is_gone_only_after_two_answers_and_some_time(
    moments: list[int], is_seen: bool
) -> None:
    start = now_ms()
    started_at = timestamp(start)
    job = Job(
        job="j",
        backend="oven",
        created_at=started_at,
        changed_at=started_at,
        started_at=started_at,
    )
    state = BackendState(ref="7", is_seen=is_seen)
    since = start if not is_seen else start + moments[0]
    needed_ms = ABSENT_AFTER_MS if is_seen else UNSEEN_AFTER_MS

    for count, moment in enumerate(moments, 1):
        now = start + moment
        state = absent_again(state, now)

        assert is_gone(state, job, now) == (count > 1 and now - since >= needed_ms)


async def test_a_job_that_waits_at_its_backend_is_queued(kitchen: Kitchen) -> None:
    queued = Report(status=Status.QUEUED)
    kitchen.oven.answers = [queued, queued, at(10), queued, DONE]

    job = await kitchen.watched()
    waiting = await kitchen.until(job, lambda job: job.observed_at != job.started_at)
    await kitchen.end(job)

    assert waiting.status is Status.QUEUED
    assert waiting.started_at
    told = [told.status for told in kitchen.of(job)]
    assert told[-4:] == [
        *(Status.QUEUED, Status.RUNNING, Status.QUEUED, Status.SUCCEEDED)
    ]
