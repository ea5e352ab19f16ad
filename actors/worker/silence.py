"""For how long a backend has not answered, without the time in which nobody asked."""

from __future__ import annotations

from msgspec.structs import replace

from actors.limits import UNASKED_AFTER_MS
from actors.store.values import BackendState


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
