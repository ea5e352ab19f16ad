"""The name of every key and channel in Redis, once.

A script is given these names and adds ids to those that end with a colon. So whatever
stands at the front, such as a partition's tag, stands in front of every key.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

LAYOUT = 2  # grows if a release cannot read the keys of the one before


@dataclass(frozen=True, slots=True)
class Keys:
    """Names, in the order in which `scripts/prelude.lua` takes them.

    `job:<job>`: hash of snapshot, revision, finished, owner, backend, lane,
    backend_state, started, lease_number, lease_until, watched_until, told_at,
    start_key if there was a key, and asked_lease if there was a request: the number of
    the lease at that time.
    `due:<lane>`: sorted set of jobs by the time of their next poll, or by the end of
    their lease. `beat:<lane>`: hash of number (the fencing token), at (when that beat
    is due), span (how long the key may live); it expires. `lanes`: set of lanes
    with work. `active:<owner>`: set of unfinished jobs. `owner:<owner>`: sorted set of
    jobs by the time of their creation. `start:<owner>:<digest>`: fingerprint and job of
    a start that had an Idempotency-Key. `worker`: there while a worker lives, when that
    was announced. `feed`: channel, lines of `<job> <revision> <finished> <snapshot>`.

    For a backend that takes only so much: `slots:<backend>`: set of the jobs that it
    has accepted, or is about to. `waiting:<backend>`: sorted set of the others by the
    time of their creation. `calls:<backend>`: hash of left (calls) and at (when that
    was); it expires. `circuit:<backend>`: there while it is left alone, hash of tries,
    at (when it may be tried again) and asked (until when it wants to be left alone); it
    expires.
    """

    job: str
    due: str
    beat: str
    lanes: str
    active: str
    owned: str
    start: str
    worker: str
    feed: str
    slots: str
    waiting: str
    calls: str
    circuit: str

    @classmethod
    def of(cls, prefix: str, tag: str) -> Keys:
        """The keys of one partition; those of a tag are in one slot of a Cluster."""
        root = f"{prefix}:{LAYOUT}:{{{tag}}}" if tag else f"{prefix}:{LAYOUT}"
        return cls(
            job=f"{root}:job:",
            due=f"{root}:due:",
            beat=f"{root}:beat:",
            lanes=f"{root}:lanes",
            active=f"{root}:active:",
            owned=f"{root}:owner:",
            start=f"{root}:start:",
            worker=f"{root}:worker",
            feed=f"{root}:feed",
            slots=f"{root}:slots:",
            waiting=f"{root}:waiting:",
            calls=f"{root}:calls:",
            circuit=f"{root}:circuit:",
        )

    def all(self) -> tuple[str, ...]:
        """As the scripts are given them."""
        return astuple(self)


def numbers_key(prefix: str) -> str:
    """Where the numbers of partitions are that there have been, a set."""
    return f"{prefix}:{LAYOUT}:partitions"


def places_key(prefix: str, owner: str) -> str:
    """Where the tags of the partitions are in which an owner has jobs, a set."""
    return f"{prefix}:{LAYOUT}:places:{owner}"


def login_key(prefix: str, backend: str) -> str:
    """Where the token of a service that wants a login is."""
    return f"{prefix}:{LAYOUT}:login:{{{backend}}}"


def census_key(prefix: str) -> str:
    """Where the numbers of jobs are, as JSON, until they are counted anew."""
    return f"{prefix}:{LAYOUT}:census"


def broker_namespace(prefix: str) -> str:
    """Under which Dramatiq keeps its queues."""
    return f"{prefix}:dramatiq"
