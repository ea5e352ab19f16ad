"""Each fault once, in the real system: no promise is broken."""

from __future__ import annotations

import sys

from .kinds import FAULTS
from .rounds import run_now
from .table import table

SEED = 2017


def test_every_fault_is_survived() -> None:
    report = run_now(SEED, FAULTS, len(FAULTS), lambda line: None)

    sys.stdout.write(table(report))
    assert report.breaches == [], f"A promise was not kept:\n{table(report)}"
    assert sum(result.injections for result in report.results) == len(FAULTS)
    assert report.jobs >= 100
