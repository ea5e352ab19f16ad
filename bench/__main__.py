"""`make bench`: measures, prints a table, writes results.json and gap.svg."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from .picture import draw
from .runs import Figures, baseline, first_frames_ms, idle_percent, percentile, progrock
from .watch import Load

HERE = Path(__file__).parent


def main() -> None:
    _say("Baseline: stock Dramatiq, a message a job and poll")
    stock = [_shown(baseline(jobs)) for jobs in (1, 100)]
    _say("ProgRock, asking one by one over HTTP, a socket for each job")
    single = [
        _shown(progrock(Load(1, 1))),
        _shown(progrock(Load(100, 100))),
        _shown(progrock(Load(500, 500), workers=2)),
        _shown(progrock(Load(1000, 1000), workers=2)),
    ]
    _say("ProgRock, with the bulk call, on a few sockets")
    bulk = [
        _shown(progrock(Load(jobs, 4, "counter-bulk"), workers=2))
        for jobs in (500, 2000)
    ]
    idle, first = idle_percent(), first_frames_ms()
    ratios = {
        "gap_p50_stock_to_progrock_1_job": stock[0].p50 / single[0].p50,
        "cpu_stock_to_progrock_http": stock[1].cpu_us / single[2].cpu_us,
        "cpu_stock_to_progrock_bulk": stock[1].cpu_us / bulk[1].cpu_us,
    }
    _say("")
    for name, ratio in ratios.items():
        _say(f"{name:36} {ratio:6.1f}")
    _say(f"{'idle worker, percent of a core':36} {idle:6.2f}")
    _say(f"{'POST to first frame, p50 ms':36} {percentile(first, 0.5):6.1f}")
    _write([*stock, *single, *bulk], ratios, idle, percentile(first, 0.5))
    draw(
        {
            "ProgRock, 1 job": single[0].gaps_ms,
            "stock Dramatiq, 1 job": stock[0].gaps_ms,
            "ProgRock, 500 jobs, HTTP": single[2].gaps_ms,
        },
        HERE / "gap.svg",
    )


def _shown(figures: Figures) -> Figures:
    cores = "  ".join(f"{name} {share:.0f}%" for name, share in figures.cores.items())
    _say(
        f"{figures.jobs:5} jobs  {figures.workers} workers  "
        f"gap p50 {figures.p50:5.0f} p99 {figures.p99:5.0f} ms  "
        f"{figures.cpu_us:5.0f} µs/poll  {cores}"
    )
    return figures


def _write(
    figures: list[Figures], ratios: dict[str, float], idle: float, first: float
) -> None:
    results = {
        "python": platform.python_version(),
        "loads": [each.summary() for each in figures],
        "ratios": {name: round(ratio, 1) for name, ratio in ratios.items()},
        "idle_worker_percent_of_a_core": round(idle, 2),
        "post_to_first_frame_p50_ms": round(first, 1),
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
