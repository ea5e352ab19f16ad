"""The times at which a watcher got updates, and the gaps between them."""

from __future__ import annotations

from itertools import pairwise
from time import monotonic


class Heard:
    """The times of all updates of one watcher, from its job's start on."""

    def __init__(self, begin: float) -> None:
        self._times = [begin]
        self._is_over = False

    @property
    def last(self) -> float:
        return self._times[-1]

    def note(self) -> None:
        """Note that an update comes now."""
        self._times.append(monotonic())

    def end(self) -> None:
        """Note that the last update comes now."""
        self.note()
        self._is_over = True

    def first_after(self, moment: float) -> float | None:
        """The time of the first update after a moment."""
        return next((at for at in self._times if at > moment), None)

    def worst_gap_s(self, begin: float, end: float) -> float:
        """The longest time without an update that overlaps a period."""
        times = self._times if self._is_over else [*self._times, end]
        gaps = (b - a for a, b in pairwise(times) if b > begin and a < end)
        return max(gaps, default=0)
