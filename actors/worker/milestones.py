"""The steps of a job that operators are told of, once each: when it is written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from actors.job import Job
from actors.requests import Action, Request, RequestState
from actors.store.values import Change
from actors.telemetry import traces
from actors.telemetry.work import CANCEL_S, ENDED, LEASES_LOST

logger = logging.getLogger(__name__)


def note_all(changes: Sequence[Change], written: Sequence[int]) -> None:
    """Note changes with the outcomes of writing them: 1 if it was written."""
    for change, outcome in zip(changes, written, strict=True):
        if outcome == 1 and change.job is not change.before:
            _note(change.before, change.job)
        elif outcome == -1:
            LEASES_LOST[()] += 1


def _note(before: Job, job: Job) -> None:
    if job.started_at and not before.started_at:
        _say(job, "has started")
    elif traces.is_on() and job.started_at and before.observed_at == job.started_at:
        _trace_first_answer(job, job.started_at)
    if job.finished and not before.finished:
        _note_end(job)
    elif job.request is not before.request and _is_refused(job.request):
        assert job.request is not None
        _say(job, f"goes on, {job.request.action} was refused: {job.request.message}")


def _note_end(job: Job) -> None:
    error = f" ({job.error.code}: {job.error.message})" if job.error else ""
    _say(job, f"has ended: {job.status}{error}")
    ENDED[job.backend, job.status.value] += 1
    traces.note_end(job)
    request = job.request
    if request and request.action is Action.CANCEL:
        assert job.finished_at is not None
        traces.note(job.job, "stop", request.asked_at, job.finished_at)
        CANCEL_S[job.backend].see(_seconds(request.asked_at, job.finished_at))


def _trace_first_answer(job: Job, started_at: str) -> None:
    if job.observed_at not in (None, started_at):
        traces.note(job.job, "first answer", started_at, job.observed_at)


def _is_refused(request: Request | None) -> bool:
    return request is not None and request.state is RequestState.REFUSED


def _say(job: Job, event: str) -> None:
    logger.info("Job %s of %s %s.", job.job, job.backend, event)


def _seconds(since: str, until: str) -> float:
    start, end = datetime.fromisoformat(since), datetime.fromisoformat(until)
    return (end - start).total_seconds()
