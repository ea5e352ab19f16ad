"""Third parties: the methods that each must have, and how they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from actors.report import Report
from actors.requests import Action
from actors.status import Status

__all__ = [
    "AbsentError",
    "Adoptable",
    "Backend",
    "BackendError",
    "Handle",
    "Report",
    "ResultFile",
    "Started",
]


class BackendError(Exception):
    """A backend did not do as it was asked.

    Asking again cannot cure a `permanent` error. `retry_after_s` is how long the
    backend asked us to wait. The message is a sentence for people.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        permanent: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.permanent = permanent
        self.retry_after_s = retry_after_s


class AbsentError(BackendError):
    """An answer says that the backend does not know the job.

    If it says so for a while, the job has ended: as `means` says.
    """

    def __init__(
        self,
        message: str,
        means: Status = Status.FAILED,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__("gone", message, retry_after_s=retry_after_s)
        self.means = means


class Handle(NamedTuple):
    """A started job, as far as its backend needs to know it.

    `ref` is the backend's own name for it, opaque to us. `is_stopped`: the backend has
    taken our cancel. `kept` has the values of its answers that its recipe keeps.
    `is_seen`: the backend has said once that it knows the job.
    """

    ref: str
    job_id: str = ""
    params: Mapping[str, Any] = MappingProxyType({})
    started_at: str | None = None
    is_stopped: bool = False
    kept: Mapping[str, Any] = MappingProxyType({})
    is_seen: bool = True


class Started(NamedTuple):
    """A job that a backend has accepted: its name there, and values to remember."""

    ref: str
    kept: Mapping[str, Any] = MappingProxyType({})


class Adoptable(msgspec.Struct, frozen=True):
    """A job at a backend that may be adopted: its name there, and one for people."""

    ref: str
    title: str | None = None


class ResultFile(Protocol):
    """A file that a job made, on its way."""

    content_type: str
    length: int | None

    def chunks(self) -> AsyncIterator[bytes]: ...


class Backend(Protocol):
    """One third party.

    `batch_size` jobs are asked for in one call, `lane_size` jobs by one message. `can`
    holds the actions that it offers. `starts_once`: a start that may have been heard
    must not be sent again. `deadline_s`: how long a job may run. `adopt_title` is how
    people call a name of a job that others have started there; None if such jobs may
    not be adopted. `lists`: it can say which ones there are. `most_active`: how many
    jobs may run there at once, the others wait. `calls_per_minute` may be sent by all
    workers together; `calls_made` counts those of this process.
    """

    name: str
    title: str
    description: str
    params: Mapping[str, Any]
    can: tuple[str, ...]
    batch_size: int
    lane_size: int
    poll_interval_ms: int
    idle_interval_ms: int
    give_up_after_s: int
    starts_once: bool
    deadline_s: int | None
    adopt_title: str | None
    most_active: int | None
    calls_per_minute: int | None

    @property
    def lists(self) -> bool: ...

    @property
    def calls_made(self) -> int: ...

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with defaults filled in; raises ParamsError."""

    def check_ref(self, ref: str) -> str:
        """Return the name of a job to adopt; raises ParamsError if it does not fit."""

    async def adoptable(self) -> list[Adoptable]:
        """Return the jobs there that may be adopted; raises BackendError."""

    async def start(self, job_id: str, params: Mapping[str, Any]) -> Started:
        """Start a job.

        After a BackendError that is not permanent, asking again is harmless.
        """

    async def reports(self, jobs: Sequence[Handle]) -> list[Report | BackendError]:
        """Ask for up to `batch_size` jobs at once; answers in the order asked."""

    async def send(self, action: Action, job: Handle) -> None:
        """Ask for a job to be cancelled, paused or resumed; raises BackendError."""

    def result(self, job: Handle) -> AbstractAsyncContextManager[ResultFile]:
        """Open the file that a job made."""

    async def close(self) -> None:
        """Close every connection to it."""
