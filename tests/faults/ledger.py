"""All that the readers of the feed were told, and every breach of its promises.

The promises: a revision has one content, the next revision is higher by one, progress
does not go down, and nothing follows a terminal state.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

import msgspec

Breach = Literal["lost", "duplicate", "revision", "poll", "late", "crash"]

# A poll with no news makes no revision, but a reader of the job is then told the new
# time of the backend's last answer.
_OBSERVED_AT = re.compile(rb'"observed_at":("[^"]*"|null)')


class Problem(msgspec.Struct, frozen=True):
    """Why a job failed."""

    code: str


class Snapshot(msgspec.Struct, frozen=True):
    """The fields of a snapshot that are checked."""

    job: str
    status: str
    revision: int
    finished: bool
    progress: float | None = None
    reachable: bool = True
    started_at: str | None = None
    error: Problem | None = None


SILENCE_S = 1  # of the channel, after which a job may have been unwatched
UNWATCHED_S = 5  # after an outage, in which web processes come back

decode = msgspec.json.Decoder(Snapshot).decode


@dataclass(slots=True)
class Reader:
    """One reader of the feed, and the last snapshot that it got of each job.

    A `recorder` reads all of Redis's channel, so it misses no revision while the job is
    watched; then it is told of at least every two seconds. The other readers can be
    shown the newest revision only.
    """

    name: str
    recorder: bool = False
    last: dict[str, Snapshot] = field(default_factory=dict)
    interrupted: set[str] = field(default_factory=set)
    read_at: dict[str, float] = field(default_factory=dict)
    reconnected_at: float = -UNWATCHED_S
    clock: Callable[[], float] = monotonic

    def reconnected(self) -> None:
        """Note that this reader may have missed something."""
        self.interrupted = set(self.last)
        self.reconnected_at = self.clock()


@dataclass(slots=True)
class Ledger:
    """Every revision of every job, and all breaches."""

    fault: str = "none"
    breaches: list[tuple[str, Breach, str]] = field(default_factory=list)
    _contents: dict[tuple[str, int], int] = field(default_factory=dict)  # as hashes

    def breach(self, breach: Breach, sentence: str) -> None:
        """Note a broken promise, under the present fault."""
        self.breaches.append((self.fault, breach, sentence))

    def count(self, fault: str) -> Counter[Breach]:
        """The number of breaches under a fault, by kind."""
        return Counter(breach for name, breach, _ in self.breaches if name == fault)

    def read(self, reader: Reader, data: bytes) -> Snapshot:
        """Note and check a snapshot that a reader got."""
        snapshot = decode(data)
        self._check_content(reader, snapshot, data)
        if before := reader.last.get(snapshot.job):
            self._check_order(reader, before, snapshot)
        reader.last[snapshot.job] = snapshot
        reader.read_at[snapshot.job] = reader.clock()
        reader.interrupted.discard(snapshot.job)
        return snapshot

    def _check_content(self, reader: Reader, snapshot: Snapshot, data: bytes) -> None:
        content = _OBSERVED_AT.sub(b"", data)
        which = (snapshot.job, snapshot.revision)
        if self._contents.setdefault(which, hash(content)) != hash(content):
            sentence = f"{_which(reader, snapshot)} has a second content: {snapshot}"
            self.breach("duplicate", sentence)

    def _check_order(self, reader: Reader, before: Snapshot, now: Snapshot) -> None:
        interrupted = now.job in reader.interrupted
        step = now.revision - before.revision
        if step < 0 or (step == 0 and not interrupted):
            self.breach("revision", f"{_which(reader, now)} came after {before}")
        moment = reader.clock()
        is_watched = moment - reader.read_at[now.job] < SILENCE_S
        is_watched &= moment - reader.reconnected_at > UNWATCHED_S
        if step > 1 and reader.recorder and is_watched and not interrupted:
            self.breach("revision", f"{_which(reader, now)} skips {step - 1}")
        if (now.progress or 0) < (before.progress or 0):
            self.breach("revision", f"{_which(reader, now)} went down from {before}")
        if before.finished and step > 0:
            self.breach("duplicate", f"{_which(reader, now)} follows the end, {before}")


def _which(reader: Reader, snapshot: Snapshot) -> str:
    return f"{reader.name}: revision {snapshot.revision} of job {snapshot.job}"
