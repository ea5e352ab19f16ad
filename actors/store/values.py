"""The values that go into the store and come out of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from actors.job import Job

logger = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class BackendState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The backend's side of a job, as far as we know it; viewers do not see it.

    `ref` is the backend's name for the job. `failures` counts calls that failed in a
    row, `heard_ms` is when a call last succeeded, `silent_since_ms` when the first
    call failed since then, `missed_ms` when the last did. `sent_ms` is
    set while a start that may be sent only once is under way. `unknown_since_ms` is set
    while no recipe is
    there for the job's backend. `is_seen`: the backend has said once that it knows the
    job; `absences` counts the answers in a row that say it does not, `absent_since_ms`
    is when the first came. `overdue_after_s` is set
    as soon as we have the job stopped, for it runs longer than that. `kept` are values
    of its answers that the recipe keeps.
    """

    ref: str | None = None
    failures: int = 0
    heard_ms: int = 0
    silent_since_ms: int = 0
    missed_ms: int = 0
    sent_ms: int = 0
    unknown_since_ms: int = 0
    is_seen: bool = False
    absences: int = 0
    absent_since_ms: int = 0
    overdue_after_s: int = 0
    kept: dict[str, Any] = {}


class Circuit(IntEnum):
    """How a backend may be called: freely, not now, or by one who asks to probe it."""

    CLOSED = 0
    OPEN = 1
    PROBE = 2


class Beat(NamedTuple):
    """A poll message to send: its lane, its number (a fencing token), its delay."""

    lane: str
    number: int
    delay_ms: int


@dataclass(slots=True)
class Lease:
    """A job that is ours until the lease ends, as the job was when we took it.

    `at_ms` is when to call its backend, by Redis's clock, `due_ms` the moment that was
    planned; `asked_ms` is when we took it, by ours. `circuit` says if it may be called.
    """

    job_id: str
    number: int
    job: Job
    backend_state: BackendState
    lane: str
    at_ms: int
    watched: bool = False
    told_ms: int = 0
    asked_ms: int = 0
    due_ms: int = 0
    circuit: Circuit = Circuit.CLOSED
    is_broken: bool = False  # its call or its writing failed in an unforeseen way

    @classmethod
    def decoded(
        cls,
        lane: str,
        circuit: int,
        job_id: bytes,
        number: int,
        snapshot: bytes,
        backend_state: bytes,
        at_ms: int,
        watched: int = 0,
        told_ms: int = 0,
    ) -> Lease:
        """Read a lease as the scripts write it."""
        return cls(
            job_id.decode(),
            number,
            decode_job(snapshot),
            decode_backend_state(backend_state),
            lane,
            at_ms,
            bool(watched),
            told_ms,
            circuit=Circuit(circuit),
            due_ms=at_ms,
        )

    def skip_to(self, redis_now_ms: int, interval_ms: int) -> None:
        """Leave out the moments that were missed; the next ones stay as they were."""
        missed = max((redis_now_ms - self.due_ms) // interval_ms, 0)
        self.at_ms = self.due_ms + missed * interval_ms


@dataclass(frozen=True, slots=True)
class Due:
    """The jobs that one beat took: all that are due before the next, soonest first."""

    next_beat: Beat
    leases: list[Lease]
    redis_now_ms: int


@dataclass(slots=True)
class Change:
    """One job to be written back; `job.revision` grows if there is news.

    It is encoded when it is made, so a job that cannot be encoded fails here, alone.
    Not frozen: that would double the time to make one, and each poll makes one.
    """

    before: Job
    job: Job
    backend_state: BackendState | None = None
    lease_number: int | None = None
    due_watched_ms: int | None = None
    due_idle_ms: int | None = None
    packed: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.packed = self._packed()

    def _packed(self) -> tuple[str, ...]:
        state = self.backend_state
        return (
            self.job.job,
            _or_empty(self.lease_number),
            str(self.before.revision),
            str(self.job.revision),
            "1" if self.job.finished else "0",
            "1" if state and state.ref is not None else "0",
            _encode(self.job).decode(),
            _encode(state).decode() if state else "",
            _or_empty(self.due_watched_ms),
            _or_empty(self.due_idle_ms),
        )


class Snapshot(NamedTuple):
    """A job as it is on the wire, with as much as the hub needs to know of it."""

    job: str
    revision: int
    finished: bool
    data: bytes


class Page(NamedTuple):
    """Some of an owner's jobs, newest first, and where the next ones begin."""

    snapshots: list[Snapshot]
    cursor: str | None


class Attended(NamedTuple):
    """The beats to send, and the jobs that are no more, or are somebody else's."""

    beats: list[Beat]
    gone: list[str]


decode_job = msgspec.json.Decoder(Job).decode
decode_backend_state = msgspec.json.Decoder(BackendState).decode


class _WithStatus(msgspec.Struct):
    status: str


_decode_with_status = msgspec.json.Decoder(_WithStatus).decode


def decode_status(snapshot: bytes) -> str:
    """Read only the status, which is several times faster."""
    return _decode_with_status(snapshot).status


def decode_beats(answer: list[list[Any]]) -> list[Beat]:
    """Read beats as the scripts write them."""
    return [Beat(lane.decode(), number, delay_ms) for lane, number, delay_ms in answer]


def decode_leases(
    lane: str, jobs: list[list[Any]], circuit: int, redis_now_ms: int, interval_ms: int
) -> list[Lease]:
    """Read leases; one that cannot be read must not stop the others of its lane."""
    leases = []
    for fields in jobs:
        try:
            lease = Lease.decoded(lane, circuit, *fields)
            lease.skip_to(redis_now_ms, interval_ms)
            leases.append(lease)
        except msgspec.DecodeError as error:
            logger.error("Job %s cannot be read: %s.", fields[0].decode(), error)
    return leases


def announced(payload: bytes) -> list[Snapshot]:
    """Read one message of the feed; nothing in it is parsed as JSON.

    An empty one only says that there is a worker.
    """
    snapshots = []
    for line in payload.split(b"\n") if payload else ():
        job, revision, finished, data = line.split(b" ", 3)
        snapshots.append(Snapshot(job.decode(), int(revision), finished == b"1", data))
    return snapshots


def _or_empty(value: int | None) -> str:
    return "" if value is None else str(value)
