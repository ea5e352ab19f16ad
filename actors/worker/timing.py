"""When a backend is called: calls of one beat apart, and pauses after failures."""

from __future__ import annotations

from collections.abc import Iterator

from actors.backends import Backend, BackendError, Report
from actors.limits import (
    MAX_AWAY_MS,
    MAX_BACKOFF_IDLE_MS,
    MAX_BACKOFF_WATCHED_MS,
    MAX_RETRY_AFTER_MS,
)
from actors.store.values import Lease

STRIDE_MS = 0.4  # from one call to the next of the same lane


def batches(leases: list[Lease], size: int) -> Iterator[list[Lease]]:
    """Yield the jobs that one call asks for, no two calls at the same moment.

    Each job's next poll is an interval after this one, so calls that were apart once
    stay apart; at the same moment they would wait for each other.
    """
    moment: float = 0
    for first in range(0, len(leases), size):
        batch = leases[first : first + size]
        moment = max(moment + STRIDE_MS, batch[0].at_ms)
        for lease in batch:
            lease.at_ms = int(moment)
        yield batch


def interval_ms(backend: Backend, report: Report, at_ms: int) -> tuple[int, int]:
    """Return how long to wait for the next poll while watched, and while not.

    Jobs that are asked for together are due at the same moment while nobody watches,
    so that their batches are full. This poll was at `at_ms`.
    """
    watched_ms, idle_ms = at_least(report.retry_after_s, backend)
    if backend.batch_size > 1 and not report.retry_after_s:
        idle_ms += -((at_ms + idle_ms // 2) % idle_ms) + idle_ms // 2
    return watched_ms, idle_ms


def at_least(retry_after_s: float | None, backend: Backend) -> tuple[int, int]:
    """Return the usual pauses, longer if the backend asks for that."""
    if not retry_after_s:
        return backend.poll_interval_ms, backend.idle_interval_ms
    asked_ms = int(min(retry_after_s * 1000, MAX_RETRY_AFTER_MS))
    return (
        max(asked_ms, backend.poll_interval_ms),
        max(asked_ms, backend.idle_interval_ms),
    )


def backoff_ms(backend: Backend, failures: int, error: BackendError) -> tuple[int, int]:
    """Return how long to leave the backend alone while watched, and while not."""
    factor = 2 ** min(failures, 16)
    asked_ms = min((error.retry_after_s or 0) * 1000, MAX_RETRY_AFTER_MS)
    watched = min(backend.poll_interval_ms * factor, MAX_BACKOFF_WATCHED_MS)
    idle = min(backend.idle_interval_ms * factor, MAX_BACKOFF_IDLE_MS)
    return (
        int(max(watched, asked_ms, backend.poll_interval_ms)),
        int(max(idle, asked_ms)),
    )


def away_ms(backend: Backend, failures: int, error: BackendError) -> tuple[int, int]:
    """Return the same for a backend that is away as a whole.

    Few calls reach it then, so its jobs may look often whether it has come back.
    """
    asked_ms = min((error.retry_after_s or 0) * 1000, MAX_RETRY_AFTER_MS)
    step_ms = backend.poll_interval_ms * 2 ** min(failures, 16)
    watched = max(min(step_ms, MAX_AWAY_MS), backend.poll_interval_ms)
    longest_ms = max(MAX_AWAY_MS, backend.idle_interval_ms // 2)
    idle = min(backend.idle_interval_ms * 2 ** min(failures, 16), longest_ms)
    return int(max(watched, asked_ms)), int(max(idle, asked_ms))
