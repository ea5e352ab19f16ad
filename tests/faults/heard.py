"""When a watcher was told something, and how long it was not."""

from __future__ import annotations

from itertools import pairwise
from time import monotonic


class Heard:
    """The times of all that one watcher was told, from its job's start on."""

    def __init__(self, begin: float) -> None:
        self._times = [begin]
        self._is_over = False

    @property
    def last(self) -> float:
        return self._times[-1]

    def note(self) -> None:
        """It is told something now."""
        self._times.append(monotonic())

    def end(self) -> None:
        """It is told now that there will be no more."""
        self.note()
        self._is_over = True

    def first_after(self, moment: float) -> float | None:
        """When it was next told something."""
        return next((at for at in self._times if at > moment), None)

    def worst_gap_s(self, begin: float, end: float) -> float:
        """The longest time without a word that touches a period."""
        times = self._times if self._is_over else [*self._times, end]
        gaps = (b - a for a, b in pairwise(times) if b > begin and a < end)
        return max(gaps, default=0)
