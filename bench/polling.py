"""The punctuality and the cost of polls, beside those of stock Dramatiq."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from .attempts import Attempts
from .picture import draw
from .runs import (
    COUNT_S,
    Figures,
    measure_first_frame_ms,
    measure_idle_percent,
    measure_progrock,
    measure_stock,
)
from .say import say
from .search import most_on_time
from .watch import Load

SEARCH_S = 8
GAP_PICTURE = Path(__file__).parent / "gap.svg"

Loads = dict[int, Figures]
SearchRun = Callable[[int, int, float], Figures]


def measure() -> dict[str, object]:
    """Measure, print and draw; returns the values for the JSON file."""
    attempts = Attempts()
    say("Baseline: stock Dramatiq, a message a job and poll")
    stock = _measure_loads(attempts, "stock Dramatiq", measure_stock, 1, 100, 1000)
    say("ProgRock, asking one by one over HTTP, a socket for each job")
    with_one = partial(measure_one_by_one, workers=1)
    with_two = partial(measure_one_by_one, workers=2)
    single = {
        **_measure_loads(attempts, "HTTP", with_one, 1, 100),
        **_measure_loads(attempts, "HTTP", with_two, 500, 1000),
    }
    say("ProgRock, with the bulk call, on a few sockets")
    in_bulk = partial(measure_in_bulk, workers=2)
    bulk = _measure_loads(attempts, "bulk", in_bulk, 500, 2000)
    _draw(stock, single)
    ratios = _ratios(stock, single, bulk)
    _say_values(ratios)
    most = _search_all(attempts)
    idle = _measure_idle(attempts)
    _say_values(idle)
    loads = [*stock.values(), *single.values(), *bulk.values()]
    return {
        "loads": [each.summary() for each in loads],
        "ratios": ratios,
        "most_jobs_on_time": most,
        **idle,
        "not_measured": attempts.failed,
    }


def measure_one_by_one(jobs: int, workers: int, count_s: float = COUNT_S) -> Figures:
    """A call for each poll, a socket for each job."""
    return measure_progrock(Load(jobs, jobs), workers, count_s)


def measure_in_bulk(jobs: int, workers: int, count_s: float = COUNT_S) -> Figures:
    """One call for a hundred polls, all jobs on a few sockets."""
    return measure_progrock(Load(jobs, 4, "counter-bulk"), workers, count_s)


def _measure_loads(
    attempts: Attempts, name: str, run: Callable[[int], Figures], *sizes: int
) -> Loads:
    """Measure each number of jobs; a number that could not be measured is left out."""
    loads = {}
    for jobs in sizes:
        if figures := attempts.run(f"{name}, {jobs} jobs", run, jobs):
            loads[jobs] = figures
            _say_figures(figures)
    return loads


def _draw(stock: Loads, single: Loads) -> None:
    curves = {
        "ProgRock, 1 job": single.get(1),
        "stock Dramatiq, 1 job": stock.get(1),
        "ProgRock, 500 jobs, HTTP": single.get(500),
    }
    draw({name: load.gaps_ms for name, load in curves.items() if load}, GAP_PICTURE)


def _ratios(stock: Loads, single: Loads, bulk: Loads) -> dict[str, float | None]:
    """Stock Dramatiq's figures divided by ours; None if one was not measured."""
    return {
        "gap_p50_stock_to_progrock_1_job": _ratio(
            stock.get(1), single.get(1), lambda load: load.p50
        ),
        "cpu_stock_to_progrock_http": _ratio(
            stock.get(100), single.get(500), lambda load: load.cpu_us
        ),
        "cpu_stock_to_progrock_bulk": _ratio(
            stock.get(100), bulk.get(2000), lambda load: load.cpu_us
        ),
    }


def _ratio(
    stock: Figures | None, ours: Figures | None, figure: Callable[[Figures], float]
) -> float | None:
    return round(figure(stock) / figure(ours), 1) if stock and ours else None


SEARCHES: dict[str, tuple[SearchRun, int]] = {  # each with its first load
    "http": (measure_one_by_one, 300),
    "bulk": (measure_in_bulk, 1500),
}


def _search_all(attempts: Attempts) -> dict[str, object]:
    say("The most jobs whose gaps keep p99 within 250 ms")
    return {
        f"{name}_{workers}_workers": _search(attempts, name, run, workers, first)
        for workers in (1, 2)
        for name, (run, first) in SEARCHES.items()
    }


def _search(
    attempts: Attempts, name: str, run: SearchRun, workers: int, first: int
) -> dict[str, object]:
    title = f"most jobs on time, {name}, {workers} worker processes"

    def measure_load(jobs: int) -> Figures | None:
        return attempts.run(f"{title}: {jobs}", _measure_load, run, jobs, workers)

    most = most_on_time(measure_load, first)
    if most.carried:
        say(f"{title:48} {most.carried.jobs:6} (not {most.too_many})")
    else:
        say(f"{title:48} {'none':>6} (not even {most.too_many})")
    carried = most.carried.summary() if most.carried else None
    return {"carried": carried, "too_many": most.too_many}


def _measure_load(run: SearchRun, jobs: int, workers: int) -> Figures | None:
    """One load of a search; None if its jobs do not all start, so it is too large."""
    try:
        figures = run(jobs, workers, SEARCH_S)
    except TimeoutError as late:
        say(f"{jobs:5} jobs  {workers} workers  {late}")
        return None
    _say_figures(figures)
    return figures


def _measure_idle(attempts: Attempts) -> dict[str, float | None]:
    return {
        "idle_worker_percent_of_a_core": attempts.run(
            "idle worker", measure_idle_percent
        ),
        "post_to_first_frame_p50_ms": attempts.run(
            "POST to first frame", measure_first_frame_ms
        ),
    }


def _say_values(values: dict[str, float | None]) -> None:
    for name, value in values.items():
        say(f"{name:40} {'-' if value is None else value:>6}")


def _say_figures(figures: Figures) -> None:
    cores = "  ".join(f"{name} {share:.0f}%" for name, share in figures.cores.items())
    say(
        f"{figures.jobs:5} jobs  {figures.workers} workers  "
        f"gap p50 {figures.p50:5.0f} p99 {figures.p99:5.0f} ms  "
        f"{figures.cpu_us:5.0f} µs/poll  {cores}"
    )
