"""A bad end of a job is excused only by a fault that explains it."""

from __future__ import annotations

import pytest

from .ledger import Problem, Snapshot
from .verdict import Excuses, wrong_end

ACCEPTED_AT = 100.0
LATER, EARLIER = 101.0, 99.0


def ended(code: str | None = None, started: bool = True) -> Snapshot:
    return Snapshot(
        "a-job",
        "failed" if code else "succeeded",
        9,
        finished=True,
        started_at="2026-01-01T12:00:00.000Z" if started else None,
        error=Problem(code) if code else None,
    )


def test_a_good_end_is_right() -> None:
    assert wrong_end("ended", ended(), ACCEPTED_AT, Excuses()) is None


def test_an_end_that_was_never_seen_is_lost() -> None:
    running = Snapshot("a-job", "running", 8, finished=False)

    for last in (running, None):
        for outcome in ("lost", "ended"):
            wrong = wrong_end(outcome, last, ACCEPTED_AT, Excuses())
            assert wrong == "no end of it was seen"


@pytest.mark.parametrize(("at", "excused"), [(LATER, True), (EARLIER, False)])
def test_a_job_is_gone_only_where_redis_forgot_it(at: float, excused: bool) -> None:
    wrong = wrong_end("gone", None, ACCEPTED_AT, Excuses(redis_forgot_at=at))

    assert (wrong is None) == excused


@pytest.mark.parametrize(("at", "excused"), [(LATER, True), (EARLIER, False)])
def test_a_job_fails_as_gone_only_where_its_backend_forgot(
    at: float, excused: bool
) -> None:
    excuses = Excuses(backend_forgot_at=at)

    assert (wrong_end("ended", ended("gone"), ACCEPTED_AT, excuses) is None) == excused


@pytest.mark.parametrize(("started", "excused"), [(False, True), (True, False)])
def test_a_backend_in_trouble_excuses_only_a_start_that_failed(
    started: bool, excused: bool
) -> None:
    excuses = Excuses(backend_troubled_at=LATER)
    last = ended("unreachable", started)

    assert (wrong_end("ended", last, ACCEPTED_AT, excuses) is None) == excused
