"""The most jobs that are still on time: more and more until they are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .runs import Figures

ON_TIME_P99_MS = 250
GROWTH = 1.5
CLOSE_ENOUGH = 1.1
TRIES = 2  # one late run may be the machine's fault

Run = Callable[[int], Figures]


@dataclass(frozen=True, slots=True)
class Most:
    """What was carried on time, and the first load that was not."""

    carried: Figures
    too_many: int


def most_on_time(run: Run, first: int) -> Most:
    """Find the most jobs whose gaps keep p99 within 250 ms, to a tenth.

    `run` measures so many jobs; `first` of them must be on time, or ValueError is
    raised.
    """
    carried = _on_time(run, first)
    if carried is None:
        raise ValueError(f"Not even {first} jobs are on time.")
    too_many = 0
    while not too_many or too_many / carried.jobs > CLOSE_ENOUGH:
        jobs = (carried.jobs + too_many) // 2 if too_many else _more(carried.jobs)
        figures = _on_time(run, jobs)
        if figures:
            carried = figures
        else:
            too_many = jobs
    return Most(carried, too_many)


def _more(jobs: int) -> int:
    return int(jobs * GROWTH)


def _on_time(run: Run, jobs: int) -> Figures | None:
    for _ in range(TRIES):
        try:
            figures = run(jobs)
        except TimeoutError:  # they did not even all start
            return None
        if figures.p99 <= ON_TIME_P99_MS:
            return figures
    return None
