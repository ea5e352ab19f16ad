"""What one worker process has in hand: it asks backends and has what they say written.

The actors hand jobs over and return at once, so a backend that hangs holds no thread
and no beat. A job in hand is protected by its lease, which is renewed until it is
written back; if this process dies the lease runs out and another takes the job.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace
from redis.exceptions import RedisError

from actors.backends import Backend, BackendError, Report
from actors.job import Job, Status
from actors.store import LEASE_MS, Store, now_ms
from actors.store.values import Contact, Taken

from .write_back import Outcome, Writer

RENEW_AFTER_S = LEASE_MS / 1000 * 0.3
START_ATTEMPTS = 4
START_PATIENCE_MS = 10_000
MOST_BACKOFF_WATCHED_MS = 2_000
MOST_BACKOFF_IDLE_MS = 30_000
MOST_RETRY_AFTER_MS = 60_000
CLOSE_PATIENCE_S = 2
STRIDE_MS = 0.4  # from one call to the next of the same lane
GRAIN_S = 0.004  # shorter waits cost more than they smooth

logger = logging.getLogger(__name__)


class Rounds:
    """The jobs that this process has taken, and the tasks that see to them."""

    def __init__(
        self, store: Store, backends: Mapping[str, Backend], writer: Writer
    ) -> None:
        self._store = store
        self._backends = backends
        self._writer = writer
        self._tasks: dict[asyncio.Task[None], tuple[Taken, ...]] = {}
        self._walks: set[asyncio.Task[None]] = set()

    def see_to(self, jobs: list[Taken], now_ms: int) -> None:
        """Do for each job what comes next: start it, stop it, or ask how it is.

        Those to be asked for are of one backend, the soonest first; `now_ms` is
        Redis's clock.
        """
        polls = []
        for taken in jobs:
            if taken.contact.ref is None:
                self._begin(self._start(taken), taken)
            elif taken.job.status is Status.STOPPING and not taken.contact.cancel_sent:
                self._begin(self._cancel(taken), taken)
            else:
                polls.append(taken)
        if polls:
            walk = asyncio.create_task(self._walk(polls, now_ms))
            self._walks.add(walk)
            walk.add_done_callback(self._walks.discard)

    async def renew_forever(self) -> None:
        """Keep the leases of what takes long."""
        while True:
            in_hand = list(self._tasks.values())
            await asyncio.sleep(RENEW_AFTER_S)
            still = set(map(id, self._tasks.values()))
            slow = [taken for jobs in in_hand if id(jobs) in still for taken in jobs]
            try:
                await self._store.renew(slow)
            except RedisError as error:
                logger.warning("Leases could not be renewed: %s.", error)

    async def close(self) -> None:
        """Finish what is nearly done, give back the rest."""
        await _end_all(self._walks)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_PATIENCE_S)
        for taken in itertools.chain(*self._tasks.values()):
            self._give_back(taken)
        await _end_all(self._tasks)

    async def _walk(self, polls: list[Taken], now_ms: int) -> None:
        """Ask for each job at its moment, for a whole batch at that of its first."""
        backend = self._backends[polls[0].job.backend]
        waiting = deque(_batches(polls, backend.batch_size))
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            while waiting:
                ahead_s = (waiting[0][0].at_ms - now_ms) / 1000 + started - clock()
                if ahead_s > 0:
                    await asyncio.sleep(max(ahead_s, GRAIN_S))
                batch = waiting.popleft()
                self._begin(self._poll(backend, batch), *batch)
        finally:
            for taken in itertools.chain(*waiting):
                self._give_back(taken)

    def _give_back(self, taken: Taken) -> None:
        self._write(taken, lambda job: job, taken.contact)

    def _begin(self, work: Coroutine[Any, Any, None], *jobs: Taken) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = jobs
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        jobs = self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()):
            ids = ", ".join(taken.id for taken in jobs)
            logger.error("Seeing to %s went wrong.", ids, exc_info=error)

    async def _start(self, taken: Taken) -> None:
        job, contact = taken.job, taken.contact
        if job.status is Status.STOPPING:
            self._write(taken, lambda job: job.cancelled(now_ms()), contact)
            return
        try:
            ref = await self._backends[job.backend].start(job.job, job.params)
        except BackendError as error:
            self._start_failed(taken, error)
            return
        now = now_ms()
        contact = Contact(ref=ref, heard_ms=now)
        self._write(taken, lambda job: job.started(now), contact, 0, 0)

    def _start_failed(self, taken: Taken, error: BackendError) -> None:
        contact = replace(taken.contact, failures=taken.contact.failures + 1)
        waited_ms = now_ms() - contact.heard_ms
        if (
            error.permanent
            or contact.failures >= START_ATTEMPTS
            or (contact.failures > 1 and waited_ms > START_PATIENCE_MS)
        ):
            self._write(taken, lambda job: _could_not_start(job, error), contact)
        else:
            # Somebody waits for it to begin, watched or not.
            wait_ms, _ = self._backoff_ms(taken, contact, error)
            self._write(taken, lambda job: job.missed(), contact, wait_ms, wait_ms)

    async def _cancel(self, taken: Taken) -> None:
        backend, contact = self._backends[taken.job.backend], taken.contact
        try:
            await backend.cancel(_ref(contact))
        except BackendError as error:
            # One that may not be stopped ends by itself, which must be noticed.
            [answer] = await backend.reports([_ref(contact)])
            goes_on = isinstance(answer, Report) and not answer.status.terminal
            self._answered(backend, taken, error if goes_on else answer)
            return
        sent = replace(contact, cancel_sent=True, failures=0)
        self._write(taken, lambda job: job, sent, 0, 0)

    async def _poll(self, backend: Backend, batch: list[Taken]) -> None:
        answers = await backend.reports([_ref(taken.contact) for taken in batch])
        for taken, answer in zip(batch, answers, strict=True):
            self._answered(backend, taken, answer)

    def _answered(
        self, backend: Backend, taken: Taken, answer: Report | BackendError
    ) -> None:
        if isinstance(answer, Report):
            self._heard(backend, taken, answer)
        else:
            self._missed(taken, answer)

    def _heard(self, backend: Backend, taken: Taken, report: Report) -> None:
        now = now_ms()
        self._write(
            taken,
            lambda job: job.heard(report, now),
            replace(taken.contact, failures=0, heard_ms=now),
            backend.poll_interval_ms,
            backend.idle_interval_ms,
        )

    def _missed(self, taken: Taken, error: BackendError) -> None:
        contact = replace(taken.contact, failures=taken.contact.failures + 1)
        if error.permanent:
            self._write(taken, lambda job: _lost(job, error), contact)
            return
        backend = self._backends[taken.job.backend]
        if now_ms() - contact.heard_ms > backend.give_up_after_s * 1000:
            gave_up = BackendError("given_up", f"{backend.title} was not heard again.")
            self._write(taken, lambda job: _lost(job, gave_up), contact)
            return
        if contact.failures == 1:
            logger.info("Job %s is not reachable: %s", taken.id, error)
        waits = self._backoff_ms(taken, contact, error)
        self._write(taken, lambda job: job.missed(), contact, *waits)

    def _backoff_ms(
        self, taken: Taken, contact: Contact, error: BackendError
    ) -> tuple[int, int]:
        """How long to leave the backend alone while watched, and while not."""
        backend = self._backends[taken.job.backend]
        factor = 2 ** min(contact.failures, 16)
        asked_ms = min((error.retry_after_s or 0) * 1000, MOST_RETRY_AFTER_MS)
        watched = min(backend.poll_interval_ms * factor, MOST_BACKOFF_WATCHED_MS)
        idle = min(backend.idle_interval_ms * factor, MOST_BACKOFF_IDLE_MS)
        return (
            int(max(watched, asked_ms, backend.poll_interval_ms)),
            int(max(idle, asked_ms)),
        )

    def _write(
        self,
        taken: Taken,
        outcome: Outcome,
        contact: Contact,
        wait_watched_ms: int = 0,
        wait_idle_ms: int = 0,
    ) -> None:
        """Have a job written back, to be polled so long after its moment."""
        self._writer.add(
            taken,
            outcome,
            contact,
            taken.at_ms + wait_watched_ms,
            taken.at_ms + wait_idle_ms,
        )


def _batches(polls: list[Taken], size: int) -> Iterator[list[Taken]]:
    """What is asked for together, no two calls at the same moment.

    Each job's next poll is an interval after this one, so calls that were apart once
    stay so; at the same moment they would wait for each other.
    """
    moment: float = 0
    for first in range(0, len(polls), size):
        batch = polls[first : first + size]
        moment = max(moment + STRIDE_MS, batch[0].at_ms)
        for taken in batch:
            taken.at_ms = int(moment)
        yield batch


async def _end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def _ref(contact: Contact) -> str:
    assert contact.ref is not None  # see_to() starts a job that has none
    return contact.ref


def _could_not_start(job: Job, error: BackendError) -> Job:
    if job.status is Status.STOPPING:
        return job.cancelled(now_ms())
    return job.failed(error.code, error.message, now_ms())


def _lost(job: Job, error: BackendError) -> Job:
    """A job that was being stopped and is gone has been stopped."""
    if job.status is Status.STOPPING and error.code == "gone":
        return job.cancelled(now_ms())
    return job.failed(error.code, error.message, now_ms())
