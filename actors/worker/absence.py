"""When a job that its backend does not know is gone, and not only out of sight.

A service may answer 404 for a while after a start, a proxy once in between, and a list
may be short. So one such answer ends nothing.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from actors.backends import AbsentError, Report
from actors.clock import now_ms
from actors.job import Job
from actors.limits import ABSENT_AFTER_MS, UNSEEN_AFTER_MS
from actors.status import Status
from actors.store.values import BackendState


def absent_again(state: BackendState, now: int) -> BackendState:
    """The backend has said once more that it does not know the job."""
    return replace(
        state,
        absences=state.absences + 1,
        absent_since_ms=state.absent_since_ms or now,
    )


def is_gone(state: BackendState, job: Job, now: int) -> bool:
    """True if it was said at least twice, and for long enough."""
    if state.absences < 2:
        return False
    if state.is_seen:
        return now - state.absent_since_ms >= ABSENT_AFTER_MS
    return now - _started_ms(job) >= UNSEEN_AFTER_MS


def vanished(job: Job, error: AbsentError) -> Job:
    """A job that was being stopped and is gone has been stopped."""
    if error.means is not Status.FAILED:
        return job.heard(Report(status=error.means, unit=job.unit), now_ms())
    if job.status is Status.STOPPING:
        return job.cancelled(now_ms())
    return job.failed(error.code, error.message, now_ms())


def _started_ms(job: Job) -> float:
    started_at = job.started_at or job.created_at
    return datetime.fromisoformat(started_at).timestamp() * 1000
