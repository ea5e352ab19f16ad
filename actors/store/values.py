"""What goes into the store and comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from actors.job import Job

_encode = msgspec.json.Encoder().encode


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """How we stand with the backend over one job; no viewer sees this."""

    ref: str | None = None
    cancel_sent: bool = False
    failures: int = 0
    heard_ms: int = 0


class Beat(NamedTuple):
    """A message to send: the lane's chain, its fencing token, when."""

    lane: str
    beat: int
    delay_ms: int


@dataclass(slots=True)
class Taken:
    """A job that is ours until its lease runs out, as it was when we took it.

    `at_ms` is the moment to see to it, by Redis's clock.
    """

    id: str
    take: int
    job: Job
    contact: Contact
    lane: str
    at_ms: int
    told_ms: int = 0
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """One beat: what to poll until the next, soonest first, and Redis's clock."""

    next: Beat
    jobs: list[Taken]
    now_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """One job to be written back; `job.revision` grows where there is news."""

    before: Job
    job: Job
    contact: Contact | None = None
    take: int | None = None
    due_watched_ms: int | None = None
    due_idle_ms: int | None = None

    def packed(self) -> tuple[str, ...]:
        contact = self.contact
        return (
            self.job.job,
            _or_empty(self.take),
            str(self.before.revision),
            str(self.job.revision),
            "1" if self.job.finished else "0",
            "1" if contact and contact.ref is not None else "0",
            _encode(self.job).decode(),
            _encode(contact).decode() if contact else "",
            _or_empty(self.due_watched_ms),
            _or_empty(self.due_idle_ms),
        )


class Snapshot(NamedTuple):
    """A job as it is on the wire, with what the hub needs to know of it."""

    job: str
    revision: int
    finished: bool
    data: bytes


class Page(NamedTuple):
    """Some of an owner's jobs, newest first, and where the next ones begin."""

    snapshots: list[Snapshot]
    cursor: str | None


def announced(payload: bytes) -> list[Snapshot]:
    """Read one message of the feed; nothing in it is parsed as JSON."""
    snapshots = []
    for line in payload.split(b"\n"):
        job, revision, finished, data = line.split(b" ", 3)
        snapshots.append(Snapshot(job.decode(), int(revision), finished == b"1", data))
    return snapshots


def _or_empty(value: int | None) -> str:
    return "" if value is None else str(value)
