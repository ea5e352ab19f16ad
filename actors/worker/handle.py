"""What a backend needs to know of a job that we have leased."""

from __future__ import annotations

from actors.backends import Handle
from actors.requests import Action, RequestState
from actors.store.values import Lease


def handle_of(lease: Lease) -> Handle:
    """Return the job as its backend is asked about it."""
    job, ref, request = lease.job, lease.backend_state.ref, lease.job.request
    assert ref is not None  # a job that has none is started first
    is_stopped = (
        request is not None
        and request.action is Action.CANCEL
        and request.state is RequestState.SENT
    )
    state = lease.backend_state
    return Handle(
        ref,
        lease.job_id,
        job.params,
        job.started_at,
        is_stopped,
        state.kept,
        state.is_seen,
    )
