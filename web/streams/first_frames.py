"""The first frame of each job, for its trace."""

from __future__ import annotations

from collections.abc import Iterable

from actors import Snapshot, traces

from .counts import observed_at

MAX_KNOWN = 10_000


class FirstFrames:
    """Adds a span to a job's trace when this process first shows an answer of it."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def see(self, shown: Iterable[Snapshot]) -> None:
        """Note snapshots that were just sent."""
        if not traces.is_on():
            return
        for snapshot in shown:
            if snapshot.job not in self._known and (since := observed_at(snapshot)):
                self._known[snapshot.job] = None
                traces.note(snapshot.job, "first frame", since, None)
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
