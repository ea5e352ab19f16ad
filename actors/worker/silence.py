"""For how long a backend has not answered, without the time in which nobody asked."""

from __future__ import annotations

from msgspec.structs import replace

from actors.backends import Report
from actors.limits import UNASKED_AFTER_MS
from actors.store.values import BackendState, Lease


def missed_again(state: BackendState, asked_ms: int, now: int) -> BackendState:
    """A call that began at `asked_ms` has failed.

    The silence begins anew if the call before it was much longer ago than any pause
    between two calls: no worker ran in that time.
    """
    is_going_on = (
        state.silent_since_ms and asked_ms - state.missed_ms < UNASKED_AFTER_MS
    )
    return replace(
        state,
        failures=state.failures + 1,
        silent_since_ms=state.silent_since_ms if is_going_on else now,
        missed_ms=now,
    )


def heard_again(now: int, lease: Lease, report: Report) -> BackendState:
    """Return the state after an answer about the job itself."""
    before = lease.backend_state
    state = replace(
        before,
        failures=0,
        heard_ms=now,
        silent_since_ms=0,
        missed_ms=0,
        is_seen=before.is_seen or report.is_seen,
        absences=0,
        absent_since_ms=0,
    )
    if report.ref is None and not report.kept:  # as nearly always
        return state
    kept = {**before.kept, **report.kept}
    return replace(state, ref=report.ref or before.ref, kept=kept)
