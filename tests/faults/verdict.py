"""The verdict on a job's end: a fault explains it, or it is a breach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .ledger import Snapshot

Outcome = Literal["watching", "ended", "gone", "lost"]


@dataclass(slots=True)
class Excuses:
    """The last times of events that can cost a job its good end."""

    redis_forgot_at: float = 0
    backend_forgot_at: float = 0
    backend_troubled_at: float = 0


def wrong_end(
    outcome: Outcome, last: Snapshot | None, asked_at: float, excuses: Excuses
) -> str | None:
    """Say why a job's end is wrong for a watcher; None if it is right or excused."""
    if outcome == "gone":
        return None if excuses.redis_forgot_at > asked_at else "it is gone"
    if outcome == "lost" or last is None or not last.finished:
        return "no end of it was seen"
    if last.error is None or _is_excused(last, last.error.code, asked_at, excuses):
        return None
    return f"it failed with {last.error.code}"


def _is_excused(last: Snapshot, code: str, asked_at: float, excuses: Excuses) -> bool:
    """A job that has started may fail only if its backend has forgotten it."""
    if code == "gone":
        return excuses.backend_forgot_at > asked_at
    return last.started_at is None and excuses.backend_troubled_at > asked_at
