"""One counter: each status call computes its state from the clock."""

import random
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

State = Literal["counting", "complete", "broken", "stopped"]

BACKWARDS_EVERY_CALLS = 3
BACKWARDS_BY = 0.03


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The task of a counter, and the faults that it has to show.

    `fail_at`      the count at which it breaks
    `hang_at`      from this count on, status calls get no answer
    `flaky`        the share of status calls that fail, with 500
    `retry_after`  these fail with 503 instead, with so many seconds in `Retry-After`
    `silent`       reports neither its count nor its total
    `backwards`    now and then reports a lower count than before
    """

    total: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    seconds: Annotated[float, Meta(ge=0.1, le=3600)] = 10
    fail_at: Annotated[int, Meta(ge=0)] | None = None
    hang_at: Annotated[int, Meta(ge=0)] | None = None
    flaky: Annotated[float, Meta(ge=0, le=1)] = 0
    retry_after: Annotated[int, Meta(ge=0, le=3600)] | None = None
    silent: bool = False
    backwards: bool = False

    def __post_init__(self) -> None:
        if max(self.fail_at or 0, self.hang_at or 0) > self.total:
            raise ValueError("`fail_at` and `hang_at` must be at most `total`")


class Status(msgspec.Struct, frozen=True):
    id: str
    state: State
    message: str | None
    error: str | None
    status_calls: int
    count: int | UnsetType = UNSET
    total: int | UnsetType = UNSET


class Counter:
    def __init__(
        self, id: str, order: Order, idempotency_key: str | None, now: float
    ) -> None:
        self.id = id
        self.order = order
        self.idempotency_key = idempotency_key
        self.status_calls = 0
        self._started_at = now
        self._last_count = order.total if order.fail_at is None else order.fail_at
        self._end_state: State = "complete" if order.fail_at is None else "broken"
        self.ends_at = now + order.seconds * self._last_count / order.total

    def ended(self, now: float) -> bool:
        return now >= self.ends_at

    def stop(self, now: float) -> None:
        self._last_count = self._count(now)
        self._end_state = "stopped"
        self.ends_at = now

    def hangs(self, now: float) -> bool:
        """Whether a status call gets no answer; a stopped counter answers again."""
        hang_at = self.order.hang_at
        if hang_at is None or self._end_state == "stopped":
            return False
        return self._count(now) >= hang_at

    def drops_call(self) -> bool:
        return random.random() < self.order.flaky

    def status(self, now: float) -> Status:
        state = self._end_state if self.ended(now) else "counting"
        error = f"gave up at {self._last_count}" if state == "broken" else None
        if self.order.silent:
            return Status(self.id, state, None, error, self.status_calls)
        count, total = self._reported_count(now), self.order.total
        message = f"{count} of {total}"
        return Status(self.id, state, message, error, self.status_calls, count, total)

    def _count(self, now: float) -> int:
        if self.ended(now):
            return self._last_count
        elapsed_s = now - self._started_at
        return min(
            self._last_count, int(self.order.total * elapsed_s / self.order.seconds)
        )

    def _reported_count(self, now: float) -> int:
        count = self._count(now)
        if not self._steps_back(now):
            return count
        return max(0, count - max(1, int(self.order.total * BACKWARDS_BY)))

    def _steps_back(self, now: float) -> bool:
        is_its_turn = self.status_calls % BACKWARDS_EVERY_CALLS == 0
        return self.order.backwards and is_its_turn and not self.ended(now)
