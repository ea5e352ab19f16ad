"""Jobs whose recipe is not here: they wait for it for a while, then they end."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from actors.clock import now_ms
from actors.limits import UNKNOWN_BACKEND_RETRY_MS
from actors.status import Status
from actors.store.values import Lease

from .write_back import WriteBack

logger = logging.getLogger(__name__)


class UnknownBackends:
    """Keeps jobs in hand until a rolling deploy has brought their recipe."""

    def __init__(self, write_back: WriteBack, grace_ms: int) -> None:
        self._write_back = write_back
        self._grace_ms = grace_ms
        self._names: set[str] = set()

    def met(self, lease: Lease) -> None:
        """Write the job back: it waits, or its time is over."""
        name, state, now = lease.job.backend, lease.backend_state, now_ms()
        if name not in self._names:
            logger.error("There is no recipe for %s here, so its jobs wait.", name)
            self._names.add(name)
        since = state.unknown_since_ms or now
        state = replace(state, unknown_since_ms=since)
        due_ms = lease.at_ms + UNKNOWN_BACKEND_RETRY_MS
        has_not_begun = state.ref is None and not state.sent_ms
        if has_not_begun and lease.job.status is Status.STOPPING:
            self._write_back.add(
                lease, lambda job: job.cancelled(now), state, due_ms, due_ms
            )
        elif now - since >= self._grace_ms:
            said = f"There is no backend called {name} any more."
            self._write_back.add(
                lease,
                lambda job: job.failed("unknown_backend", said, now),
                state,
                due_ms,
                due_ms,
            )
        else:
            self._write_back.add(lease, lambda job: job.missed(), state, due_ms, due_ms)
