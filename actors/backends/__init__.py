"""Third parties in our words: what each must offer, and what may go wrong with it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from actors.job import Problem, Status

__all__ = ["Backend", "BackendError", "Report", "ResultFile"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend said of one job."""

    status: Status
    progress: float | None = None
    done: int | float | None = None
    total: int | float | None = None
    unit: str | None = None
    message: str | None = None
    result: dict[str, Any] | None = None
    file: str | None = None  # the content type of what it made
    error: Problem | None = None

    @property
    def percentage(self) -> float | None:
        """0 to 100 with one decimal, cut off: 99.99 is not yet 100."""
        if self.progress is not None:
            tenths = self.progress * 10
        elif self.done is not None and self.total:
            tenths = self.done * 1000 / self.total
        else:
            return None
        return math.floor(min(1000, max(0, tenths))) / 10


class BackendError(Exception):
    """A backend did not do what it was asked.

    `permanent` errors cannot be cured by asking again. `retry_after_s` is what the
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


class ResultFile(Protocol):
    """A file that a job made, on its way."""

    content_type: str
    length: int | None

    def chunks(self) -> AsyncIterator[bytes]: ...


class Backend(Protocol):
    """One third party. `ref` is its own name for a job, opaque to us.

    `batch_size` jobs are asked for in one call, `lane_size` jobs by one message.
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

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with defaults filled in; raises ParamsError."""

    async def start(self, job: str, params: Mapping[str, Any]) -> str:
        """Start `job` and return its ref; asking twice for one job is harmless."""

    async def reports(self, refs: Sequence[str]) -> list[Report | BackendError]:
        """Ask for up to `batch_size` jobs at once; answers in the order asked."""

    async def cancel(self, ref: str) -> None:
        """Ask for a job to be stopped."""

    def result(self, ref: str) -> AbstractAsyncContextManager[ResultFile]:
        """Open the file that a job made."""

    async def close(self) -> None:
        """Close every connection to it."""
