"""The report of a run as a table, one line for each kind of fault."""

from __future__ import annotations

from .ledger import Breach
from .rounds import Report, Result

COUNTED: dict[str, Breach] = {
    "lost": "lost",
    "duplicates": "duplicate",
    "revisions": "revision",
    "polls": "poll",
    "crashes": "crash",
}


def table(report: Report) -> str:
    """The table, and every breach below it."""
    total = sum(result.injections for result in report.results)
    return "\n".join(
        [
            _row("fault", "injections", *COUNTED, "worst gap", "first update"),
            *map(_line, report.results),
            f"{total} injections, {report.jobs} jobs, seed {report.seed}",
            *report.breaches,
        ]
    )


def _line(result: Result) -> str:
    return _row(
        result.fault,
        result.injections,
        *(result.breaches.get(breach, 0) for breach in COUNTED.values()),
        f"{result.worst_gap_ms:.0f} ms",
        f"{result.worst_first_update_ms:.0f} ms",
    )


def _row(first: str, *others: object) -> str:
    return f"{first:30}" + "".join(f"{other!s:>13}" for other in others)
