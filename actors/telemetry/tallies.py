"""Numbers for Prometheus, as plain Python numbers that a scrape reads.

prometheus_client's own counters take a lock for each step, and some of these step with
each poll and each update. Only the thread of the event loop writes them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

Labels = str | tuple[str, ...]

FAMILIES: list[Tally | Spreads] = []  # all that this process has declared

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Tally(dict[Labels, int]):
    """A counter for each value of its labels: `POLLS[backend, "ok"] += 1`."""

    def __init__(
        self, name: str, says: str, *labels: str, known: Iterable[Labels] = ()
    ) -> None:
        super().__init__(dict.fromkeys(known, 0))  # a rate needs the first step, too
        self.name, self.says, self.labels = name, says, labels
        FAMILIES.append(self)

    def __missing__(self, labels: Labels) -> int:
        return 0


class Level(Tally):
    """The same for a number that also falls."""


class Spread:
    """How some numbers are spread: the count below each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def see(self, value: float) -> None:
        """Count a value; one below zero is zero, as where two clocks differ."""
        if value < 0:
            value = 0.0
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> Iterator[tuple[str, int]]:
        """Each bound, with the number of values that do not exceed it."""
        total = 0
        bounds = (*map(str, self.bounds), "+Inf")
        for bound, count in zip(bounds, list(self.counts), strict=True):
            total += count
            yield bound, total


class Spreads(dict[Labels, Spread]):
    """A spread for each value of its labels: `CALL_S[backend, "poll"].see(0.02)`."""

    def __init__(
        self,
        name: str,
        says: str,
        *labels: str,
        known: Iterable[Labels] = (),
        bounds: tuple[float, ...] = SECONDS,
    ) -> None:
        super().__init__({each: Spread(bounds) for each in known})
        self.name, self.says, self.labels = name, says, labels
        self._bounds = bounds
        FAMILIES.append(self)

    def __missing__(self, labels: Labels) -> Spread:
        self[labels] = spread = Spread(self._bounds)
        return spread
