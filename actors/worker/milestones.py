"""The steps of a job that operators are told of, once each: when it is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from actors.job import Job
from actors.requests import Action
from actors.store.values import Change
from actors.telemetry.work import CANCEL_S, ENDED, LEASES_LOST


def note_all(changes: Sequence[Change], written: Sequence[int]) -> None:
    """Note changes with the outcomes of writing them: 1 if it was written."""
    for change, outcome in zip(changes, written, strict=True):
        if outcome == 1 and change.job is not change.before:
            _note(change.before, change.job)
        elif outcome == -1:
            LEASES_LOST[()] += 1


def _note(before: Job, job: Job) -> None:
    if job.finished and not before.finished:
        _note_end(job)


def _note_end(job: Job) -> None:
    ENDED[job.backend, job.status.value] += 1
    request = job.request
    if request and request.action is Action.CANCEL:
        assert job.finished_at is not None
        CANCEL_S[job.backend].see(_seconds(request.asked_at, job.finished_at))


def _seconds(since: str, until: str) -> float:
    start, end = datetime.fromisoformat(since), datetime.fromisoformat(until)
    return (end - start).total_seconds()
