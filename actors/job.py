"""What a job is, and how one becomes the next; no I/O and no clock of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

if TYPE_CHECKING:
    from .backends import Report


class Status(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


class Problem(msgspec.Struct, frozen=True):
    """Why a job failed: a code for programs, a plain sentence for people."""

    code: str
    message: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot of one job: what every stream and every answer carries.

    Times are ISO 8601 in UTC with milliseconds. Each method that tells of an event
    returns the job after it; a finished job always returns itself.
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
    can: tuple[str, ...] = ()
    params: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    error: Problem | None = None
    created_at: str
    started_at: str | None = None
    observed_at: str | None = None
    changed_at: str
    finished_at: str | None = None

    def started(self, now_ms: int) -> Job:
        """The backend has taken the job on."""
        if self.finished or self.started_at:
            return self
        return replace(
            self,
            status=Status.RUNNING if self.status is Status.QUEUED else self.status,
            started_at=timestamp(now_ms),
            observed_at=timestamp(now_ms),
            changed_at=timestamp(now_ms),
            reachable=True,
        )

    def heard(self, report: Report, now_ms: int) -> Job:
        """The backend has answered."""
        if self.finished:
            return self
        said = (
            _next_status(self.status, report.status),
            _highest(self.progress, report.percentage),
            report.message,
            _highest(self.done, report.done),
            report.total,
            report.unit,
        )
        status, progress, message, done, total, unit = said
        now = timestamp(now_ms)
        heard = replace(
            self,
            status=status,
            progress=progress,
            message=message,
            done=done,
            total=total,
            unit=unit,
            reachable=True,
            observed_at=now,
            changed_at=self.changed_at if said == self._said() else now,
        )
        if heard.status.terminal:
            return heard._ended(now_ms, heard._made(report), report.error)
        return heard

    def missed(self) -> Job:
        """The backend could not be reached, or did not make sense."""
        return self if self.finished else replace(self, reachable=False)

    def stopping(self, now_ms: int) -> Job:
        """Somebody wants it to stop."""
        if self.finished or self.status is Status.STOPPING:
            return self
        return replace(
            self, status=Status.STOPPING, can=(), changed_at=timestamp(now_ms)
        )

    def cancelled(self, now_ms: int) -> Job:
        """It has been stopped."""
        return self._to_end(Status.CANCELLED, now_ms)

    def failed(self, code: str, message: str, now_ms: int) -> Job:
        """It cannot go on."""
        return self._to_end(Status.FAILED, now_ms, Problem(code, message))

    def revised(self) -> Job:
        """The same job as its next revision."""
        return replace(self, revision=self.revision + 1)

    def says(self) -> tuple[object, ...]:
        """What a viewer would see change."""
        return (self._said(), self.reachable, self.started_at)

    def _said(self) -> tuple[object, ...]:
        """What the backend has said."""
        return (
            self.status,
            self.progress,
            self.message,
            self.done,
            self.total,
            self.unit,
        )

    def _to_end(self, status: Status, now_ms: int, error: Problem | None = None) -> Job:
        if self.finished:
            return self
        return replace(self, status=status)._ended(now_ms, None, error)

    def _made(self, report: Report) -> dict[str, Any] | None:
        if report.file is None:
            return report.result
        return {"url": f"/jobs/{self.job}/result", "content_type": report.file}

    def _ended(
        self, now_ms: int, result: dict[str, Any] | None, error: Problem | None
    ) -> Job:
        succeeded = self.status is Status.SUCCEEDED
        return replace(
            self,
            progress=100.0 if succeeded else self.progress,
            complete=succeeded,
            finished=True,
            can=(),
            result=result if succeeded else None,
            error=error,
            changed_at=timestamp(now_ms),
            finished_at=timestamp(now_ms),
        )


@lru_cache(maxsize=64)  # the jobs of one batch are heard in the same few milliseconds
def timestamp(now_ms: int) -> str:
    """Return milliseconds since 1970 as ISO 8601, `2026-01-01T12:00:00.000Z`."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _next_status(now: Status, reported: Status) -> Status:
    """A job that is being stopped runs on until its backend says that it ended."""
    stopping = now is Status.STOPPING and not reported.terminal
    return now if stopping or reported is Status.QUEUED else reported


def _highest(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return before if after is None else after
    return max(before, after)
