"""Jobs as a worker would leave them, with their owners, for tests without one."""

from __future__ import annotations

import secrets
from typing import Any

from msgspec.structs import replace

from actors import Job, Status
from actors.clock import now_ms, timestamp
from actors.store import Store
from actors.store.values import Change

TOKENS = {"a token of sixteen": "alice", "another of sixteen": "bob"}
ALICE = {"Authorization": "Bearer a token of sixteen"}
BOB = {"Authorization": "Bearer another of sixteen"}
ALICES = "token-alice"


async def add(store: Store, owner: str = ALICES, **fields: Any) -> Job:
    """A new job, as it is before any worker has seen it."""
    now = timestamp(now_ms())
    given = {"backend": "counter", "can": ("cancel",), **fields}
    job = Job(job=secrets.token_urlsafe(16), created_at=now, changed_at=now, **given)
    await store.create(job, owner=owner, max_active=0, lane_size=200)
    return job


async def move(store: Store, job: Job, **fields: Any) -> Job:
    """Publish the job's next revision."""
    moved = change(job, **fields)
    outcomes, _ = await store.advance([moved])
    assert outcomes == [1]
    return moved.job


def change(job: Job, **fields: Any) -> Change:
    """The job's next revision, to be published."""
    return Change(job, replace(job, **fields).revised())


async def run(store: Store, job: Job, progress: float) -> Job:
    """Let it be so far."""
    return await move(store, job, status=Status.RUNNING, progress=progress)


async def end(store: Store, job: Job, status: Status = Status.SUCCEEDED) -> Job:
    """Let it have ended."""
    return await move(
        store,
        job,
        status=status,
        progress=100.0 if status is Status.SUCCEEDED else job.progress,
        complete=status is Status.SUCCEEDED,
        finished=True,
        can=(),
        finished_at=timestamp(now_ms()),
    )
