"""Starts a job on its backend, and the meaning of the outcome for the job."""

from __future__ import annotations

import logging
import random
from datetime import datetime

from msgspec.structs import replace
from redis.exceptions import RedisError

from actors.backends import Backend, BackendError
from actors.backends.failures import (
    LostAnswerError,
    not_understood,
    start_unknown,
)
from actors.clock import now_ms
from actors.job import Job
from actors.limits import MAX_START_ATTEMPTS, MAX_START_MS
from actors.status import Status
from actors.store import Store
from actors.store.values import BackendState, Lease

from .calling import call
from .circuit import Circuits, is_away
from .pace import Pace
from .silence import missed_again
from .timing import away_ms, backoff_ms
from .write_back import Outcome, WriteBack

AGAIN_MS = 300  # if Redis is away
LOOK_WATCHED_MS = 1000  # at the place of a job that waits
LOOK_SOON_MS, LOOK_LATE_MS = 2000, 30_000  # the same, if nobody watches
SOON = 20  # the places whose turn may come soon

logger = logging.getLogger(__name__)


class Starts:
    """Starts jobs, and queues the outcomes to be written back.

    If a backend may be asked only once, that it is asked is noted before. So a worker
    that dies just then leaves a job that no other worker starts again.
    """

    def __init__(
        self, store: Store, write_back: WriteBack, circuits: Circuits, pace: Pace
    ) -> None:
        self._store = store
        self._write_back = write_back
        self._circuits = circuits
        self._pace = pace

    async def start(self, backend: Backend, lease: Lease) -> None:
        """Start a job on its backend."""
        if backend.starts_once and lease.backend_state.sent_ms:
            self.failed(backend, lease, start_unknown(backend.title))
        elif lease.job.status is Status.STOPPING:
            self._write(lease, lambda job: job.cancelled(now_ms()), lease.backend_state)
        elif await self._may_begin(backend, lease):
            await self._send(backend, lease)

    def not_understood(self, backend: Backend, lease: Lease) -> None:
        """The start, or the job after it, was more than we can handle."""
        may_run = backend.starts_once and lease.backend_state.sent_ms
        unforeseen = start_unknown if may_run else not_understood
        self.failed(backend, lease, unforeseen(backend.title))

    def failed(self, backend: Backend, lease: Lease, error: BackendError) -> None:
        """Try again soon, unless asking again is of no use or not safe."""
        now = now_ms()
        lost_ms = _lost_ms(backend, lease, error)
        before = replace(lease.backend_state, sent_ms=lost_ms)
        state = missed_again(before, lease.asked_ms, now)
        waited_ms = now - state.silent_since_ms
        if (
            error.permanent
            or state.failures >= MAX_START_ATTEMPTS
            or (state.failures > 1 and waited_ms > MAX_START_MS)
        ):
            # The last try was refused, but an earlier one may have begun the job.
            told = start_unknown(backend.title) if lost_ms else error
            self._write(lease, lambda job: _could_not_start(job, told), state)
        else:
            # Somebody waits for it to begin, watched or not.
            waits_ms = away_ms if is_away(error) else backoff_ms
            longest_ms, _ = waits_ms(backend, state.failures, error)
            # Starts that were refused together would meet again.
            wait_ms = int(longest_ms * random.uniform(0.75, 1))
            self._write(lease, lambda job: job.missed(), state, wait_ms)

    async def _send(self, backend: Backend, lease: Lease) -> None:
        try:
            with call(backend.name, "start", lease.job_id):
                started = await backend.start(lease.job_id, lease.job.params)
        except BackendError as error:
            if error.code != "start_unknown":  # that says nothing of the backend
                await self._circuits.saw(backend, [error])
            self.failed(backend, lease, error)
            return
        await self._circuits.saw(backend, [])
        now = now_ms()
        state = BackendState(ref=started.ref, heard_ms=now, kept=dict(started.kept))
        self._write(lease, lambda job: job.started(now), state)

    async def _may_begin(self, backend: Backend, lease: Lease) -> bool:
        """False if the job has to wait, or the lease is lost."""
        try:
            if not await self._has_place(backend, lease):
                return False
            if wait_ms := await self._pace.wait_ms(backend):
                has_place: Outcome = lambda job: job.waits(None, now_ms())  # noqa: E731
                self._write(lease, has_place, lease.backend_state, wait_ms)
                return False
            if not await self._circuits.may_call(backend):
                self._pace.unmade(backend)
                self._left_alone(backend, lease)
                return False
            return not backend.starts_once or await self._store.note_sent(lease)
        except RedisError as error:
            logger.warning("Job %s cannot start yet: %s.", lease.job_id, error)
            self._write(lease, lambda job: job, lease.backend_state, AGAIN_MS)
            return False

    async def _has_place(self, backend: Backend, lease: Lease) -> bool:
        if not backend.most_active:
            return True
        created = datetime.fromisoformat(lease.job.created_at)
        place = await self._store.limits.admit(
            lease.job_id,
            backend.name,
            created_ms=int(created.timestamp() * 1000),
            most_active=backend.most_active,
        )
        if place > 0:
            self._write_back.add(
                lease,
                lambda job: job.waits(place, now_ms()),
                lease.backend_state,
                lease.at_ms + LOOK_WATCHED_MS,
                lease.at_ms + (LOOK_SOON_MS if place <= SOON else LOOK_LATE_MS),
            )
        return place == 0

    def _left_alone(self, backend: Backend, lease: Lease) -> None:
        """Nobody calls the backend now, so this counts as no attempt."""
        error, now = self._circuits.error(backend), now_ms()
        before = lease.backend_state
        state = replace(
            missed_again(before, lease.asked_ms, now), failures=before.failures
        )
        if now - state.silent_since_ms > MAX_START_MS:
            self._write(lease, lambda job: _could_not_start(job, error), state)
        else:
            self._write(lease, lambda job: job.missed(), state, AGAIN_MS)

    def _write(
        self, lease: Lease, outcome: Outcome, state: BackendState, wait_ms: int = 0
    ) -> None:
        due_ms = lease.at_ms + wait_ms
        self._write_back.add(lease, outcome, state, due_ms, due_ms)


def _lost_ms(backend: Backend, lease: Lease, error: BackendError) -> int:
    """When a start was sent whose answer was lost, and that may be sent again; or 0."""
    if backend.starts_once:
        return 0
    is_lost = isinstance(error, LostAnswerError)
    return lease.backend_state.sent_ms or (now_ms() if is_lost else 0)


def _could_not_start(job: Job, error: BackendError) -> Job:
    """A job that was being stopped and was not started has been stopped."""
    if job.status is Status.STOPPING and error.code != "start_unknown":
        return job.cancelled(now_ms())
    return job.failed(error.code, error.message, now_ms())
