"""A backend's report on one job, in our words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from actors.status import Failure, Status

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a job, as the backend tells it; `progress` is 0 to 100."""

    title: str
    status: Status | None = None
    progress: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a backend about one job.

    `file` is the content type of a file that the job made. `retry_after_s` is how long
    the backend asked us to wait with the next poll. `ref` is the job's new name there,
    if it has changed; `kept` are values to remember for its next calls. `is_seen` is
    false if the backend does not know the job yet. `can` holds the actions that work
    now, if those are not always all that the backend offers.
    """

    status: Status
    progress: float | None = None
    done: int | float | None = None
    total: int | float | None = None
    unit: str | None = None
    message: str | None = None
    steps: tuple[Step, ...] | None = None
    result: dict[str, Any] | None = None
    file: str | None = None
    error: Failure | None = None
    retry_after_s: float | None = None
    ref: str | None = None
    is_seen: bool = True
    can: tuple[str, ...] | None = None
    kept: Mapping[str, Any] = msgspec.field(default_factory=lambda: NOTHING)

    @property
    def percentage(self) -> float | None:
        """0 to 100 with one decimal, rounded down: 99.99 is not yet 100."""
        if self.progress is not None:
            tenths = self.progress * 10
        elif self.done is not None and self.total:
            tenths = self.done * 1000 / self.total
        else:
            return None
        return math.floor(min(1000, max(0, tenths))) / 10
