"""One call to a backend, and the meaning of its outcome for the job."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from actors.backends import AbsentError, Backend, BackendError, Report
from actors.backends.failures import not_understood
from actors.clock import now_ms
from actors.job import Job
from actors.requests import Action, Request
from actors.store.values import BackendState, Lease
from actors.telemetry.work import POLLS, Timed, count_polls

from .absence import absent_again, is_gone, vanished
from .calling import call
from .circuit import Circuits, is_away
from .deadline import as_overdue, is_late_beyond_patience, left_running
from .handle import handle_of
from .pace import Pace
from .silence import heard_again, missed_again
from .starts import Starts
from .timing import at_least, away_ms, backoff_ms, interval_ms
from .write_back import Outcome, WriteBack

logger = logging.getLogger(__name__)


class Outcomes:
    """Calls backends and queues the outcome of each call to be written back."""

    def __init__(
        self,
        write_back: WriteBack,
        starts: Starts,
        circuits: Circuits,
        pace: Pace,
    ) -> None:
        self._write_back = write_back
        self._starts = starts
        self._circuits = circuits
        self._pace = pace

    async def send_request(self, backend: Backend, lease: Lease) -> None:
        """Pass a request (cancel, pause, resume) on to the backend."""
        request = lease.job.request
        assert request is not None  # the job has an unsent one
        if wait_ms := await self._pace.wait_ms(backend):
            self.wait(lease, wait_ms)
            return
        if not await self._circuits.may_call(backend):
            self._pace.unmade(backend)
            self._missed(backend, lease, self._circuits.error(backend))
            return
        try:
            with call(backend.name, request.action, lease.job_id):
                await backend.send(request.action, handle_of(lease))
        except BackendError as error:
            await self._circuits.saw(backend, [error])
            await self._not_sent(backend, lease, request, error)
        except Exception as cause:
            unforeseen = not_understood(backend.title, cause)
            await self._not_sent(backend, lease, request, unforeseen)
        else:
            await self._circuits.saw(backend, [])
            state = replace(lease.backend_state, failures=0)
            self._write(lease, lambda job: job.sent(request), state, 0, 0)

    async def poll(self, backend: Backend, batch: list[Lease]) -> None:
        """Ask the backend how these jobs are."""
        answers = await self._asked(backend, batch, is_paid=True)
        for lease, answer in zip(batch, answers, strict=True):
            self._answered(backend, lease, answer)

    def overdue(self, backend: Backend, lease: Lease) -> None:
        """The job has run for too long: have it stopped, or give it up."""
        now, limit_s = now_ms(), backend.deadline_s or 0
        state = replace(lease.backend_state, overdue_after_s=limit_s)
        if Action.CANCEL in lease.job.can:
            self._write(lease, lambda job: job.asked(Action.CANCEL, now), state)
        else:
            self._write(lease, lambda job: left_running(job, limit_s, now), state)

    def not_understood(self, backend: Backend, lease: Lease) -> None:
        """An answer, or the job after it, was more than we can handle."""
        if lease.backend_state.ref is None:
            self._starts.not_understood(backend, lease)
        else:
            self._missed(backend, lease, not_understood(backend.title))

    def give_back(self, lease: Lease) -> None:
        """Write a job back as it was, so that another worker may take it."""
        self._write(lease, lambda job: job, lease.backend_state)

    def wait(self, lease: Lease, wait_ms: int) -> None:
        """Write a job back as it was, to be called so much later."""
        self._write(lease, lambda job: job, lease.backend_state, wait_ms, wait_ms)

    async def _asked(
        self, backend: Backend, batch: list[Lease], *, is_paid: bool = False
    ) -> list[Report | BackendError]:
        if not await self._circuits.may_call(backend):
            POLLS[backend.name, "left_alone"] += len(batch)
            if is_paid:
                self._pace.unmade(backend)
            return [self._circuits.error(backend)] * len(batch)
        with Timed(backend.name, "poll"):
            answers = await backend.reports([handle_of(lease) for lease in batch])
        count_polls(backend.name, answers)
        await self._circuits.saw(backend, answers)
        return answers

    async def _not_sent(
        self, backend: Backend, lease: Lease, request: Request, error: BackendError
    ) -> None:
        """Ask how the job is all the same: it may have ended by itself."""
        [answer] = await self._asked(backend, [lease])
        answer = _with_address(answer, lease.job_id)
        if not isinstance(answer, Report):
            self._missed(backend, lease, answer)
        elif error.permanent:
            self._refused(backend, lease, answer, request, error)
        else:
            self._heard_but_not_sent(backend, lease, answer, error)

    def _heard_but_not_sent(
        self, backend: Backend, lease: Lease, report: Report, error: BackendError
    ) -> None:
        """The job goes on; the request is sent again, after a pause that grows."""
        now = now_ms()
        failures = lease.backend_state.failures + 1
        state = replace(heard_again(now, lease, report), failures=failures)
        waits = backoff_ms(backend, failures, error)
        self._write(lease, lambda job: job.heard(report, now), state, *waits)

    def _answered(
        self, backend: Backend, lease: Lease, answer: Report | BackendError
    ) -> None:
        answer = _with_address(answer, lease.job_id)
        if isinstance(answer, Report):
            self._heard(backend, lease, answer)
        else:
            self._missed(backend, lease, answer)

    def _heard(self, backend: Backend, lease: Lease, report: Report) -> None:
        now = now_ms()
        self._write(
            lease,
            lambda job: job.heard(report, now),
            heard_again(now, lease, report),
            *interval_ms(backend, report, lease.at_ms),
        )

    def _refused(
        self,
        backend: Backend,
        lease: Lease,
        report: Report,
        request: Request,
        error: BackendError,
    ) -> None:
        now = now_ms()
        self._write(
            lease,
            lambda job: job.refused(request, error.message, backend.can).heard(
                report, now
            ),
            heard_again(now, lease, report),
        )

    def _missed(self, backend: Backend, lease: Lease, error: BackendError) -> None:
        before, now = lease.backend_state, now_ms()
        if isinstance(error, AbsentError):
            self._absent(backend, lease, error, now)
            return
        state = missed_again(before, lease.asked_ms, now)
        if error.permanent:
            self._write(lease, lambda job: _lost(job, error), state)
            return
        if is_late_beyond_patience(state, lease.job, now):
            self._write(lease, lambda job: job.cancelled(now), state)
            return
        if now - state.silent_since_ms > backend.give_up_after_s * 1000:
            gave_up = BackendError("given_up", f"{backend.title} was not heard again.")
            self._write(lease, lambda job: _lost(job, gave_up), state)
            return
        if state.failures == 1:
            logger.info("Job %s is not reachable: %s", lease.job_id, error)
        waits_ms = away_ms if is_away(error) else backoff_ms
        waits = waits_ms(backend, state.failures, error)
        self._write(lease, lambda job: job.missed(), state, *waits)

    def _absent(
        self, backend: Backend, lease: Lease, error: AbsentError, now: int
    ) -> None:
        """The job has ended if its backend does not know it for a while."""
        state = absent_again(lease.backend_state, now)
        if is_gone(state, lease.job, now):
            self._write(lease, lambda job: vanished(job, error), state)
            return
        if state.absences == 1:
            logger.info("Job %s is not known there: %s", lease.job_id, error)
        waits = at_least(error.retry_after_s, backend)
        self._write(lease, lambda job: job.missed(), state, *waits)

    def _write(
        self,
        lease: Lease,
        outcome: Outcome,
        state: BackendState,
        wait_watched_ms: int = 0,
        wait_idle_ms: int = 0,
    ) -> None:
        """Queue an outcome; the job is polled again so long after its moment."""
        self._write_back.add(
            lease,
            as_overdue(outcome, state) if state.overdue_after_s else outcome,
            state,
            lease.at_ms + wait_watched_ms,
            lease.at_ms + wait_idle_ms,
        )


def _with_address(answer: Report | BackendError, job_id: str) -> Report | BackendError:
    """Make a file that the job made its result, at the address where web serves it."""
    if isinstance(answer, BackendError) or not answer.file:
        return answer
    address = {"url": f"/jobs/{job_id}/result", "content_type": answer.file}
    return replace(answer, result=address)


def _lost(job: Job, error: BackendError) -> Job:
    return job.failed(error.code, error.message, now_ms())
