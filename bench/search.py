"""A search for the most jobs that are still on time: up, down, then in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .runs import Figures

ON_TIME_P99_MS = 250
GROWTH = 1.5
CLOSE_ENOUGH = 1.1
MAX_TRIES = 2  # one late run may be the machine's fault

Run = Callable[[int], Figures | None]


@dataclass(frozen=True, slots=True)
class Most:
    """The largest load that was on time, if any was, and the smallest that was not."""

    carried: Figures | None
    too_many: int


def most_on_time(run: Run, first: int) -> Most:
    """Find the most jobs whose gaps keep p99 within 250 ms, to a tenth.

    `run` measures a number of jobs, `first` of them at first. If it returns None, that
    number is too many.
    """
    carried: Figures | None = None
    too_many = 0  # none is known yet
    while jobs := _next_load(carried.jobs if carried else 0, too_many, first):
        if figures := _run_on_time(run, jobs):
            carried = figures
        else:
            too_many = jobs
    return Most(carried, too_many)


def _next_load(carried: int, too_many: int, first: int) -> int:
    """The number of jobs to try next; 0 ends the search."""
    if not too_many:
        return int(carried * GROWTH) + 1 if carried else first
    if too_many <= max(carried + 1, carried * CLOSE_ENOUGH):
        return 0
    return (carried + too_many) // 2


def _run_on_time(run: Run, jobs: int) -> Figures | None:
    for _ in range(MAX_TRIES):
        figures = run(jobs)
        if figures is None or figures.p99 <= ON_TIME_P99_MS:
            return figures
    return None
