"""How well polls keep time and what they cost, beside stock Dramatiq's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .picture import draw
from .runs import (
    COUNT_S,
    Figures,
    baseline,
    first_frames_ms,
    idle_percent,
    percentile,
    progrock,
)
from .say import say
from .search import most_on_time
from .watch import Load

SEARCH_S = 8
GAP_PICTURE = Path(__file__).parent / "gap.svg"


def measure() -> dict[str, object]:
    """Measure, print and draw; returns what is for the JSON file."""
    say("Baseline: stock Dramatiq, a message a job and poll")
    stock = [_shown(baseline(jobs)) for jobs in (1, 100, 1000)]
    say("ProgRock, asking one by one over HTTP, a socket for each job")
    single = [_shown(one_by_one(*load)) for load in ((1, 1), (100, 1), (500, 2))]
    single.append(_shown(one_by_one(1000, 2)))
    say("ProgRock, with the bulk call, on a few sockets")
    bulk = [_shown(in_bulk(jobs, 2)) for jobs in (500, 2000)]
    ratios = {
        "gap_p50_stock_to_progrock_1_job": stock[0].p50 / single[0].p50,
        "cpu_stock_to_progrock_http": stock[1].cpu_us / single[2].cpu_us,
        "cpu_stock_to_progrock_bulk": stock[1].cpu_us / bulk[1].cpu_us,
    }
    for name, ratio in ratios.items():
        say(f"{name:40} {ratio:6.1f}")
    draw(
        {
            "ProgRock, 1 job": single[0].gaps_ms,
            "stock Dramatiq, 1 job": stock[0].gaps_ms,
            "ProgRock, 500 jobs, HTTP": single[2].gaps_ms,
        },
        GAP_PICTURE,
    )
    return {
        "loads": [each.summary() for each in (*stock, *single, *bulk)],
        "ratios": {name: round(ratio, 1) for name, ratio in ratios.items()},
        "most_jobs_on_time": _searches(),
        **_while_idle(),
    }


def one_by_one(jobs: int, workers: int, count_s: float = COUNT_S) -> Figures:
    """A call for each poll, a socket for each job."""
    return progrock(Load(jobs, jobs), workers, count_s)


def in_bulk(jobs: int, workers: int, count_s: float = COUNT_S) -> Figures:
    """One call for a hundred polls, all jobs on a few sockets."""
    return progrock(Load(jobs, 4, "counter-bulk"), workers, count_s)


def _searches() -> dict[str, object]:
    say("The most jobs whose gaps keep p99 within 250 ms")
    return {
        f"{name}_{workers}_workers": _search(name, run, workers, first)
        for workers in (1, 2)
        for name, run, first in (("http", one_by_one, 300), ("bulk", in_bulk, 1500))
    }


def _search(
    name: str, run: Callable[[int, int, float], Figures], workers: int, first: int
) -> dict[str, object]:
    most = most_on_time(lambda jobs: _shown(run(jobs, workers, SEARCH_S)), first)
    what = f"most jobs on time, {name}, {workers} worker processes"
    say(f"{what:48} {most.carried.jobs:6} (not {most.too_many})")
    return {**most.carried.summary(), "too_many": most.too_many}


def _while_idle() -> dict[str, object]:
    idle, first_ms = idle_percent(), percentile(first_frames_ms(), 0.5)
    say(f"{'idle worker, percent of a core':40} {idle:6.2f}")
    say(f"{'POST to first frame, p50 ms':40} {first_ms:6.1f}")
    return {
        "idle_worker_percent_of_a_core": round(idle, 2),
        "post_to_first_frame_p50_ms": round(first_ms, 1),
    }


def _shown(figures: Figures) -> Figures:
    cores = "  ".join(f"{name} {share:.0f}%" for name, share in figures.cores.items())
    say(
        f"{figures.jobs:5} jobs  {figures.workers} workers  "
        f"gap p50 {figures.p50:5.0f} p99 {figures.p99:5.0f} ms  "
        f"{figures.cpu_us:5.0f} µs/poll  {cores}"
    )
    return figures
