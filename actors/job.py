"""A job, and how its snapshot becomes the next; no I/O and no clock of its own."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.clock import timestamp
from actors.limits import ASK_AGAIN_AFTER_MS
from actors.report import Report, Step
from actors.requests import RULES, Action, Request, RequestState, settled
from actors.status import Failure, Status


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot of one job, which every stream and every answer carries.

    Times are ISO 8601 in UTC with milliseconds. A method that is named after an event
    returns the job after that event; a finished job returns itself.
    """

    job: str
    backend: str
    status: Status = Status.QUEUED
    revision: int = 1
    progress: float | None = None
    complete: bool = False
    finished: bool = False
    message: str | None = None
    done: int | float | None = None
    total: int | float | None = None
    unit: str | None = None
    reachable: bool = True
    queue_place: int | None = None
    can: tuple[str, ...] = ()
    request: Request | None = None
    steps: tuple[Step, ...] | None = None
    adopted: bool = False
    params: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    error: Failure | None = None
    created_at: str
    started_at: str | None = None
    observed_at: str | None = None
    changed_at: str
    finished_at: str | None = None

    def waits(self, place: int | None, now_ms: int) -> Job:
        """Its backend takes no more jobs for now; the job at place 1 is the next.

        None if it has a place there, and is about to begin.
        """
        if self.finished or self.queue_place == place:
            return self
        return replace(self, queue_place=place, changed_at=timestamp(now_ms))

    def started(self, now_ms: int) -> Job:
        """The backend has accepted the job."""
        if self.finished or self.started_at:
            return self
        return replace(
            self,
            status=Status.RUNNING if self.status is Status.QUEUED else self.status,
            queue_place=None,
            started_at=timestamp(now_ms),
            observed_at=timestamp(now_ms),
            changed_at=timestamp(now_ms),
            reachable=True,
        )

    def adopted_at(self, now_ms: int) -> Job:
        """Others have started the job; we watch it from now on."""
        return replace(self.started(now_ms), adopted=True)

    def heard(self, report: Report, now_ms: int) -> Job:
        """The backend has answered."""
        if self.finished:
            return self
        now = timestamp(now_ms)
        heard = replace(
            self,
            status=self._next_status(report.status),
            progress=_highest(self.progress, report.percentage),
            message=report.message,
            done=_highest(self.done, report.done),
            total=report.total,
            unit=report.unit,
            steps=report.steps or self.steps,
            can=self._next_can(report.can),
            request=settled(self.request, report.status),
            reachable=True,
            observed_at=now,
        )
        if _what_it_says(heard) != _what_it_says(self):
            heard = replace(heard, changed_at=now)
        if heard.status.terminal:
            return heard._ended(now_ms, report.result, report.error)
        return heard

    def missed(self) -> Job:
        """The backend could not be reached, or its answer could not be understood."""
        if self.finished:
            return self
        return replace(self, reachable=False, queue_place=None)

    @property
    def has_unsent_request(self) -> bool:
        return self.request is not None and self.request.state is RequestState.ASKED

    def allows(self, action: Action) -> bool:
        """True if the action fits the status that the job has now."""
        return self.status in RULES[action].allowed_in

    def is_asked_for(self, action: Action, now_ms: int) -> bool:
        """True if the action was asked for, and it is too early to ask again.

        A request that has not been sent yet need not be asked again; one that was sent
        may have been dropped by the backend.
        """
        request = self.request
        if request is None or not request.is_open or request.action is not action:
            return False
        is_recent = request.asked_at > timestamp(now_ms - ASK_AGAIN_AFTER_MS)
        return request.state is RequestState.ASKED or is_recent

    def asked(self, action: Action, now_ms: int) -> Job:
        """A viewer has asked for the action; asking again changes nothing."""
        if self.finished or self.is_asked_for(action, now_ms):
            return self
        shown_as = RULES[action].shown_as
        return replace(
            self,
            status=shown_as or self.status,
            queue_place=None if shown_as else self.queue_place,
            can=() if shown_as else self.can,
            request=Request(action=action, asked_at=timestamp(now_ms)),
            changed_at=timestamp(now_ms) if shown_as else self.changed_at,
        )

    def sent(self, request: Request) -> Job:
        """The backend has taken the request; a newer request stays as it is."""
        if self.finished or self.request != request:
            return self
        return replace(self, request=replace(request, state=RequestState.SENT))

    def refused(self, request: Request, message: str, can: tuple[str, ...]) -> Job:
        """The backend has refused the request: the job goes on, and may be asked again.

        `can` is what its backend offers.
        """
        if self.finished or self.request != request:
            return self
        return replace(
            self,
            status=Status.RUNNING if self.status is Status.STOPPING else self.status,
            can=can,
            request=replace(request, state=RequestState.REFUSED, message=message),
        )

    def cancelled(self, now_ms: int) -> Job:
        """The job has been stopped."""
        if self.finished:
            return self
        request = settled(self.request, Status.CANCELLED)
        stopped = replace(self, status=Status.CANCELLED, request=request)
        return stopped._ended(now_ms, None, None)

    def failed(self, code: str, message: str, now_ms: int) -> Job:
        """The job cannot go on."""
        if self.finished:
            return self
        request = settled(self.request, Status.FAILED)
        failed = replace(self, status=Status.FAILED, request=request)
        return failed._ended(now_ms, None, Failure(code, message))

    def overdue(self, message: str) -> Job:
        """If the job was stopped: it was for its deadline, so it has failed."""
        if self.status is not Status.CANCELLED:
            return self
        return replace(self, status=Status.FAILED, error=Failure("deadline", message))

    def revised(self) -> Job:
        """The same job as its next revision."""
        return replace(self, revision=self.revision + 1)

    def differs_from(self, before: Job) -> bool:
        """True if a viewer would see a difference, other than when it was observed."""
        if self.changed_at != before.changed_at:
            return True
        same_moment = replace(
            before, revision=self.revision, observed_at=self.observed_at
        )
        return self != same_moment

    def _next_status(self, reported: Status) -> Status:
        """A job that is being stopped runs on until its backend says that it ended."""
        is_stopping = self.status is Status.STOPPING and not reported.terminal
        return self.status if is_stopping else reported

    def _next_can(self, reported: tuple[str, ...] | None) -> tuple[str, ...]:
        """A job that is being stopped can do nothing else."""
        is_stopping = self.status is Status.STOPPING
        return self.can if reported is None or is_stopping else reported

    def _ended(
        self, now_ms: int, result: dict[str, Any] | None, error: Failure | None
    ) -> Job:
        succeeded = self.status is Status.SUCCEEDED
        return replace(
            self,
            progress=100.0 if succeeded else self.progress,
            complete=succeeded,
            finished=True,
            queue_place=None,
            can=(),
            result=result if succeeded else None,
            error=error,
            changed_at=timestamp(now_ms),
            finished_at=timestamp(now_ms),
        )


_what_it_says = attrgetter(
    *("status", "progress", "message", "done", "total", "unit", "steps", "can")
)


def _highest(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return before if after is None else after
    return max(before, after)
