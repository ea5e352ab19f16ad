"""A job and how one becomes the next; pure, so most of it holds for any history."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from actors.backends import Report
from actors.clock import timestamp
from actors.job import Job
from actors.requests import Action
from actors.status import Failure, Status

NOON_MS = 1_767_268_800_000
FIELDS = (
    *("job", "backend", "status", "revision", "progress", "complete", "finished"),
    *("message", "done", "total", "unit", "reachable"),
    *("queue_place", "can", "request", "steps"),
    *("adopted", "params"),
    *("result",),
    *("error", "created_at", "started_at", "observed_at", "changed_at", "finished_at"),
)

Event = Callable[[Job, int], Job]

amounts = st.none() | st.integers(-10, 2**53) | st.floats(-1e300, 1e300)
words = st.sampled_from([None, "", "rows"])


def reports(statuses: list[Status]) -> st.SearchStrategy[Report]:
    return st.builds(
        Report,
        status=st.sampled_from(statuses),
        progress=amounts,
        done=amounts,
        total=amounts,
        unit=words,
        message=words,
        result=st.sampled_from([None, {}, {"count": 3}]),
        file=st.sampled_from([None, "image/png"]),
    ).map(with_error)


def with_error(report: Report) -> Report:
    """A backend that tells of a failure says why."""
    why = Failure("backend_failed", "It broke.")
    return replace(report, error=why) if report.status is Status.FAILED else report


def hearing(report: Report) -> Event:
    return lambda job, now_ms: job.heard(report, now_ms)


misses = st.just(lambda job, now_ms: job.missed())
starts = st.just(lambda job, now_ms: job.started(now_ms))
stops = st.just(lambda job, now_ms: job.asked(Action.CANCEL, now_ms))
polls = reports([status for status in Status if not status.terminal]).map(hearing)
ends = st.one_of(
    reports([status for status in Status if status.terminal]).map(hearing),
    st.just(lambda job, now_ms: job.failed("gone", "It is gone.", now_ms)),
    st.just(lambda job, now_ms: job.cancelled(now_ms)),
)
events: st.SearchStrategy[Event] = st.one_of(polls, misses, starts, stops, ends)
# Polls are the most frequent, as in life; so most histories are long.
histories = st.lists(st.one_of(polls, polls, misses, starts, events), max_size=12)


def new() -> Job:
    noon = timestamp(NOON_MS)
    return Job(
        job="a-job",
        backend="render",
        can=("cancel",),
        params={"width": 1600},
        created_at=noon,
        changed_at=noon,
    )


def running(**said: Any) -> Job:
    report = Report(status=Status.RUNNING, **said)
    return new().started(NOON_MS).heard(report, NOON_MS)


def lives(history: list[Event]) -> list[Job]:
    """The job before the first event and after each."""
    jobs = [new()]
    for n, event in enumerate(history, start=1):
        jobs.append(event(jobs[-1], NOON_MS + n))
    return jobs


@given(histories)
def test_progress_never_goes_down(history: list[Event]) -> None:
    known = [job.progress for job in lives(history) if job.progress is not None]

    assert known == sorted(known)


@given(histories)
def test_progress_once_known_stays_known(history: list[Event]) -> None:
    jobs = lives(history)

    for before, after in pairwise(jobs):
        assert before.progress is None or after.progress is not None
        assert before.done is None or after.done >= before.done


@given(histories)
def test_progress_is_0_to_100_with_one_decimal(history: list[Event]) -> None:
    for job in lives(history):
        if job.progress is not None:
            assert 0 <= job.progress <= 100
            assert job.progress == round(job.progress, 1)


@given(histories, events)
def test_a_finished_job_stays_as_it_is(history: list[Event], event: Event) -> None:
    for job in lives(history):
        if job.finished:
            assert event(job, NOON_MS + 1000) is job


@given(histories)
def test_finished_means_a_terminal_status_and_complete_a_success(
    history: list[Event],
) -> None:
    for job in lives(history):
        assert job.finished is job.status.terminal
        assert job.finished is (job.finished_at is not None)
        assert job.complete is (job.status is Status.SUCCEEDED)
        assert not job.complete or job.progress == 100
        assert job.result is None or job.complete
        assert job.error is None or job.status is Status.FAILED
        assert job.can == () or not job.finished


@given(histories)
def test_a_failed_job_says_why(history: list[Event]) -> None:
    for job in lives(history):
        assert (job.error is not None) is (job.status is Status.FAILED)


@given(histories)
def test_a_job_that_is_being_stopped_only_ends(history: list[Event]) -> None:
    jobs = lives(
        [*history, lambda job, now_ms: job.asked(Action.CANCEL, now_ms), *history]
    )

    for before, after in pairwise(jobs):
        if before.status is Status.STOPPING:
            assert after.status is Status.STOPPING or after.finished


@given(histories)
def test_no_event_touches_what_the_job_was_made_with(history: list[Event]) -> None:
    for job in lives(history):
        assert (job.job, job.backend, job.params) == ("a-job", "render", new().params)
        assert job.created_at == new().created_at
        assert job.revision == 1


@given(histories)
def test_json_keeps_the_job(history: list[Event]) -> None:
    for job in lives(history):
        assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job


@given(histories)
def test_the_snapshot_has_the_fields_of_the_contract_in_their_order(
    history: list[Event],
) -> None:
    for job in lives(history):
        snapshot = json.loads(msgspec.json.encode(job))

        assert tuple(snapshot) == FIELDS
        assert snapshot["error"] is None or list(snapshot["error"]) == [
            "code",
            "message",
        ]


def test_a_new_job_waits() -> None:
    assert json.loads(msgspec.json.encode(new())) == {
        **dict.fromkeys(FIELDS),
        "job": "a-job",
        "backend": "render",
        "status": "queued",
        "revision": 1,
        "complete": False,
        "finished": False,
        "adopted": False,
        "reachable": True,
        "can": ["cancel"],
        "params": {"width": 1600},
        "created_at": "2026-01-01T12:00:00.000Z",
        "changed_at": "2026-01-01T12:00:00.000Z",
    }


def test_a_job_that_the_backend_took_on_runs() -> None:
    job = new().started(NOON_MS + 5)

    assert job.status is Status.RUNNING
    assert job.started_at == job.changed_at == "2026-01-01T12:00:00.005Z"


def test_a_job_starts_once() -> None:
    job = new().started(NOON_MS)

    assert job.started(NOON_MS + 5) is job


def test_a_job_that_was_stopped_while_it_was_started_goes_on_stopping() -> None:
    job = new().asked(Action.CANCEL, NOON_MS).started(NOON_MS)

    assert job.status is Status.STOPPING
    assert job.started_at


def test_what_the_backend_said_is_told() -> None:
    report = Report(
        status=Status.RUNNING, done=415, total=1000, unit="rows", message="row 415"
    )

    job = new().started(NOON_MS).heard(report, NOON_MS + 200)

    assert (job.progress, job.done, job.total) == (41.5, 415, 1000)
    assert (job.unit, job.message) == ("rows", "row 415")
    assert job.observed_at == job.changed_at == "2026-01-01T12:00:00.200Z"


def test_hearing_the_same_again_changes_only_when_it_was_heard() -> None:
    report = Report(status=Status.RUNNING, progress=41.5)
    before = new().heard(report, NOON_MS)

    after = before.heard(report, NOON_MS + 200)

    assert not after.differs_from(before)
    assert after.changed_at == before.changed_at
    assert after.observed_at == timestamp(NOON_MS + 200)


def test_a_backend_that_is_back_and_says_the_same_has_changed_nothing() -> None:
    report = Report(status=Status.RUNNING, progress=41.5)
    before = new().heard(report, NOON_MS)

    away = before.missed()
    back = away.heard(report, NOON_MS + 200)

    assert (away.reachable, back.reachable) == (False, True)
    assert before.changed_at == away.changed_at == back.changed_at
    assert back.differs_from(away)


def test_a_missed_poll_does_not_change_the_status() -> None:
    job = running(progress=10).missed()

    assert job.status is Status.RUNNING
    assert job.observed_at == timestamp(NOON_MS)


def test_a_backend_may_lose_count_but_not_progress() -> None:
    job = running(done=30, total=100).heard(Report(status=Status.RUNNING), NOON_MS)

    assert job.progress == 30
    assert job.done == 30
    assert job.total is None


def test_a_success_is_complete_whatever_was_counted() -> None:
    report = Report(status=Status.SUCCEEDED, done=99, total=100, result={"count": 99})

    job = running(done=30, total=100).heard(report, NOON_MS + 200)

    assert (job.status, job.progress, job.complete) == (Status.SUCCEEDED, 100, True)
    assert job.result == {"count": 99}
    assert job.finished_at == timestamp(NOON_MS + 200)


def test_a_failure_keeps_the_progress_that_was_made() -> None:
    job = running(progress=41.5).failed("gone", "It is gone.", NOON_MS)

    assert (job.status, job.progress) == (Status.FAILED, 41.5)
    assert job.error == Failure("gone", "It is gone.")
    assert job.result is None


def test_a_job_that_ends_before_it_was_stopped_has_ended_so() -> None:
    job = (
        running()
        .asked(Action.CANCEL, NOON_MS)
        .heard(Report(status=Status.SUCCEEDED), NOON_MS)
    )

    assert job.status is Status.SUCCEEDED


def test_the_next_revision_is_one_higher() -> None:
    assert new().revised().revision == 2


@pytest.mark.parametrize(
    ("said", "percentage"),
    [
        ({}, None),
        ({"progress": 0}, 0),
        ({"progress": 41.5}, 41.5),
        ({"progress": 41.59}, 41.5),
        ({"progress": 99.99}, 99.9),
        ({"progress": 100}, 100),
        ({"progress": 250}, 100),
        ({"progress": -3}, 0),
        ({"done": 29, "total": 100}, 29),
        ({"done": 999, "total": 1000}, 99.9),
        ({"done": 9999, "total": 10000}, 99.9),
        ({"done": 1, "total": 3}, 33.3),
        ({"done": 3, "total": 0}, None),
        ({"done": 3}, None),
        ({"total": 3}, None),
        ({"done": 1e300, "total": 1e-300}, 100),
        ({"done": 5, "total": -10}, 0),
        ({"progress": 10, "done": 9, "total": 10}, 10),
    ],
)
def test_a_report_has_a_percentage(
    said: dict[str, float], percentage: float | None
) -> None:
    assert Report(status=Status.RUNNING, **said).percentage == percentage


@given(st.integers(1, 1000).flatmap(lambda t: st.tuples(st.integers(0, t), st.just(t))))
def test_a_count_is_cut_off_exactly(count: tuple[int, int]) -> None:
    done, total = count

    percentage = Report(status=Status.RUNNING, done=done, total=total).percentage

    assert percentage == done * 1000 // total / 10


@pytest.mark.parametrize(
    ("now_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (NOON_MS, "2026-01-01T12:00:00.000Z"),
        (NOON_MS + 7, "2026-01-01T12:00:00.007Z"),
    ],
)
def test_times_are_iso_8601_with_milliseconds(now_ms: int, text: str) -> None:
    assert timestamp(now_ms) == text


@given(st.integers(0, 4_102_444_800_000))
def test_no_millisecond_is_lost(now_ms: int) -> None:
    assert timestamp(now_ms)[20:23] == f"{now_ms % 1000:03}"
