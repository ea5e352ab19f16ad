"""Ends jobs that run for longer than their recipe allows.

Such a job is stopped as by a viewer. If its backend says meanwhile that it has ended by
itself, that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from actors.backends import Backend
from actors.job import Job
from actors.limits import DEADLINE_PATIENCE_MS
from actors.status import Status
from actors.store.values import BackendState, Lease


def is_overdue(backend: Backend, lease: Lease, now: int) -> bool:
    """True if it is time to have the job stopped."""
    if not backend.deadline_s or lease.job.started_at is None:
        return False
    is_being_stopped = lease.job.status is Status.STOPPING
    if is_being_stopped or lease.backend_state.overdue_after_s:
        return False
    return _age_ms(lease.job, now) > backend.deadline_s * 1000


def is_late_beyond_patience(state: BackendState, job: Job, now: int) -> bool:
    """True if a job that is to be stopped cannot be reached for too long."""
    limit_ms = state.overdue_after_s * 1000 + DEADLINE_PATIENCE_MS
    return bool(state.overdue_after_s) and _age_ms(job, now) > limit_ms


def as_overdue(
    outcome: Callable[[Job], Job], state: BackendState
) -> Callable[[Job], Job]:
    """Return the outcome for a job that we have had stopped for its deadline."""
    said = f"It took longer than {state.overdue_after_s} s and was stopped."
    return lambda job: outcome(job).overdue(said)


def left_running(job: Job, limit_s: int, now: int) -> Job:
    """The job cannot be stopped there, so we only leave it."""
    said = f"It took longer than {limit_s} s. It may go on there."
    return job.failed("deadline", said, now)


def _age_ms(job: Job, now: int) -> float:
    started_at = job.started_at or job.created_at
    return now - datetime.fromisoformat(started_at).timestamp() * 1000
