"""What the outside may want: a new job, an end to one, a closer look at some."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from .backends import Backend
from .job import Job, timestamp
from .messages import send_beats, send_cancel, send_start
from .store import Store, now_ms
from .store.values import Change


class NotPossibleError(Exception):
    """The job's backend does not offer this."""


async def submit(
    store: Store,
    backend: Backend,
    params: Mapping[str, Any],
    *,
    owner: str,
    most_active: int = 0,
) -> Job:
    """Create a job and have it started.

    Raises ParamsError, and TooManyJobsError where the owner has `most_active` (0: any).
    """
    checked = backend.check(params)
    now = timestamp(now_ms())
    job = Job(
        job=secrets.token_urlsafe(16),
        backend=backend.name,
        can=backend.can,
        params=checked,
        created_at=now,
        changed_at=now,
    )
    await store.create(
        job, owner=owner, most_active=most_active, lane_size=backend.lane_size
    )
    await send_start(job.job)
    return job


async def cancel(store: Store, job: str) -> Job:
    """Have a job stopped; one that has ended stays so. Raises NotPossibleError."""
    while True:
        loaded = await store.load(job)
        if loaded is None:
            raise KeyError(job)
        before = loaded[0]
        stopping = before.stopping(now_ms())
        if stopping is before:
            return before
        if "cancel" not in before.can:
            raise NotPossibleError(f"A job of {before.backend} cannot be stopped.")
        change = Change(before, stopping.revised())
        outcomes, beats = await store.advance([change])
        if outcomes == [1]:
            await send_cancel(job)
            await send_beats(beats)
            return change.job


async def attend(store: Store, jobs: Iterable[str]) -> None:
    """Tell that these jobs are watched: they are polled faster for some seconds."""
    await send_beats(await store.attend(jobs))
