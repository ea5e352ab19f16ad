"""The times of each job's polls; they show if two workers polled the same job.

They are checked only in quiet times, without a fault. After a late beat the pause is
shorter, since the next beat keeps to the grid. So two polls can be close now and then,
but they never overlap, and in the long run they are as rare as the interval says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

INTERVAL_S = 0.2
MAX_TIMES_AS_OFTEN = 1.25
CLOSE_S = 0.06
MAX_CLOSE = 0.4  # of the pauses; allows one late beat in a second, but no second chain


@dataclass(slots=True)
class Polls:
    """Begin and end of the polls of each job."""

    pauses_seen: int = 0  # too few of them prove nothing
    _polls: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def note(self, job: str, begun: float, ended: float) -> None:
        """Note one poll."""
        self._polls[job].append((begun, ended))

    def faults(self, jobs: Iterable[str], begin: float, end: float) -> list[str]:
        """A sentence for each irregularity in the polls of a quiet time."""
        between = {
            job: [poll for poll in self._polls[job] if begin <= poll[0] <= end]
            for job in jobs
        }
        found = [fault for job in between for fault in _wrong(job, between[job])]
        pauses = [
            later[0] - earlier[0]
            for polls in between.values()
            for earlier, later in pairwise(sorted(polls))
        ]
        close = sum(pause < CLOSE_S for pause in pauses)
        if close > MAX_CLOSE * len(pauses) + 1:
            found.append(f"{close} of {len(pauses)} pauses were under {CLOSE_S} s")
        self.pauses_seen += len(pauses)
        most = (end - begin) / INTERVAL_S * MAX_TIMES_AS_OFTEN + 1
        return found + [
            f"job {job} was polled {len(polls)} times in {end - begin:.1f} s"
            for job, polls in between.items()
            if len(polls) > most
        ]


def _wrong(job: str, polls: list[tuple[float, float]]) -> Iterable[str]:
    for earlier, later in pairwise(sorted(polls)):
        if later[0] < earlier[1]:
            yield f"job {job} was polled while it was being polled"
