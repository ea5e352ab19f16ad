"""The commands that others may give: start a job, ask something of it, watch jobs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from redis.exceptions import TimeoutError

from actors.backends import Backend
from actors.clock import now_ms, timestamp
from actors.job import Job
from actors.messages import send_beats, send_request, send_start
from actors.requests import RULES, Action
from actors.store import Store
from actors.store.start_key import StartKey
from actors.store.values import Change
from actors.telemetry import traces
from actors.telemetry.work import CREATED

logger = logging.getLogger(__name__)

MAX_TRIES = 20  # a worker may write a job between our read and our write


class NotPossibleError(Exception):
    """The job's backend does not offer the action, or the job's status forbids it."""


async def submit(
    store: Store,
    backend: Backend,
    params: Mapping[str, Any],
    *,
    owner: str,
    max_active: int = 0,
    key: str | None = None,
) -> Job:
    """Create a job and have it started; the same `key` and owner give the same job.

    Raises ParamsError, KeyReusedError if the key came with another start, and
    TooManyJobsError if the owner has `max_active` active jobs (0: any number).
    """
    checked = backend.check(params)
    job = _bare_job(store.new_id(owner, backend, key), backend, checked)
    job_id = await store.create(
        job,
        owner=owner,
        max_active=max_active,
        lane_size=backend.lane_size,
        start_key=StartKey.of(key, backend.name, params) if key else None,
    )
    if job_id != job.job:
        return await _load(store, job_id, owner)
    _note_new(job, "created")
    await send_start(job_id)
    return job


async def adopt(
    store: Store, backend: Backend, ref: str, *, owner: str, max_active: int = 0
) -> Job:
    """Watch a job that others have started at the backend; `ref` is its name there.

    Raises NotPossibleError if its recipe does not allow it, ParamsError if the name
    does not fit, and TooManyJobsError.
    """
    if backend.adopt_title is None:
        raise NotPossibleError(f"Jobs of {backend.name} cannot be adopted.")
    ref = backend.check_ref(ref)
    job = _bare_job(store.new_id(owner, backend), backend, {}).adopted_at(now_ms())
    await store.create(
        job, owner=owner, max_active=max_active, lane_size=backend.lane_size, ref=ref
    )
    _note_new(job, "adopted")
    await send_start(job.job)
    return job


async def request(store: Store, job_id: str, action: Action, *, owner: str) -> Job:
    """Ask for an action; asking again, or cancelling an ended job, changes nothing.

    A request that was sent some seconds ago, and has not been settled, is sent again.
    A pause of a job that is not started yet is sent after its start. Raises KeyError if
    the owner has no such job, NotPossibleError, and TimeoutError of redis-py's.
    """
    for _ in range(MAX_TRIES):
        before = await _load(store, job_id, owner)
        now = now_ms()
        is_cancelled_in_vain = before.finished and action is Action.CANCEL
        if is_cancelled_in_vain or before.is_asked_for(action, now):
            return before
        _check_is_possible(before, action)
        change = Change(before, before.asked(action, now).revised())
        outcomes, beats = await store.advance([change])
        if outcomes == [1]:
            logger.info("Job %s: %s was asked for.", job_id, action)
            traces.note(job_id, f"{action} was asked for", timestamp(now), None)
            if before.started_at or action is Action.CANCEL:
                await send_request(job_id)
            await send_beats(beats)
            return change.job
    raise TimeoutError(f"Job {job_id} changes too fast.")


async def attend(
    store: Store, jobs: Iterable[str], *, owner: str | None = None
) -> list[str]:
    """Note that these jobs are watched: they are polled faster, and announced.

    Returns those that are no more, or that are not `owner`'s, if an owner is named.
    """
    groups = store.grouped(jobs, str)
    attended = await asyncio.gather(*(store.attend(each, owner) for each in groups))
    await send_beats(beat for each in attended for beat in each.beats)
    return [job_id for each in attended for job_id in each.gone]


def _bare_job(job_id: str, backend: Backend, params: dict[str, Any]) -> Job:
    now = timestamp(now_ms())
    return Job(
        job=job_id,
        backend=backend.name,
        can=backend.can,
        params=params,
        created_at=now,
        changed_at=now,
    )


def _note_new(job: Job, done: str) -> None:
    CREATED[job.backend] += 1
    logger.info("Job %s of %s was %s.", job.job, job.backend, done)
    traces.note(job.job, done, job.created_at, None)


async def _load(store: Store, job_id: str, owner: str) -> Job:
    job = await store.load(job_id, owner)
    if job is None:
        raise KeyError(job_id)
    return job


def _check_is_possible(job: Job, action: Action) -> None:
    done = RULES[action].done
    if not job.allows(action):
        raise NotPossibleError(f"A job that is {job.status} cannot be {done}.")
    is_repeated = job.request and job.request.is_open and job.request.action is action
    if action not in job.can and not is_repeated:
        raise NotPossibleError(f"A job of {job.backend} cannot be {done}.")
