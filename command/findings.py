"""What a recipe claims, held against all that its service has said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from actors.backends import AbsentError, BackendError
from actors.recipes.format import Recipe
from actors.report import Report
from actors.status import Status

# Some jobs never say these, and their recipes are right all the same.
_MAY_BE_SILENT = ("message",)


class Finding(NamedTuple):
    """One claim; `holds` is None if nothing that was seen proves it or belies it."""

    claim: str
    holds: bool | None
    seen: str


class Heard(NamedTuple):
    """One answer to the status call: whose, what it is for us, and as it came."""

    job_id: str
    answer: Report | BackendError
    raw: bytes


def findings(recipe: Recipe, heard: list[Heard]) -> Iterator[Finding]:
    """Judge what all answers to the status call have said."""
    yield from _unreadable(heard)
    reports = [each.answer for each in heard if isinstance(each.answer, Report)]
    yield from _words(recipe, {report.status for report in reports})
    yield from _values(recipe, reports, heard)
    yield from _errors(recipe, heard)
    yield from _numbers(heard)
    yield from _unused(recipe, heard)


def _unreadable(heard: list[Heard]) -> Iterator[Finding]:
    for each in heard:
        error = each.answer
        if isinstance(error, BackendError) and not isinstance(error, AbsentError):
            seen = f"{error} It was: {shown(each.raw)}"
            yield Finding("status: every answer is understood", False, seen)
            return
    if heard:
        seen = f"{len(heard)} answers"
        yield Finding("status: every answer is understood", True, seen)


def _words(recipe: Recipe, seen: set[Status]) -> Iterator[Finding]:
    for status in Status:
        if recipe.status.can_say(status):
            was_seen = status in seen
            said = "seen" if was_seen else "the jobs were never in it"
            yield Finding(f"status: {status}", True if was_seen else None, said)


def _values(
    recipe: Recipe, reports: list[Report], heard: list[Heard]
) -> Iterator[Finding]:
    """A value that no answer has ever had is likely a slip in its expression."""
    for key, fields in (
        ("percent", ("progress",)),
        ("progress", ("progress",)),
        ("fraction", ("progress",)),
        ("done", ("done",)),
        ("total", ("total",)),
        ("message", ("message",)),
        ("steps", ("steps",)),
    ):
        if getattr(recipe.status, key) is None or not reports:
            continue
        values = [getattr(report, fields[0]) for report in reports]
        found = [value for value in values if value is not None]
        if found:
            yield Finding(f"status.{key}", True, f"{found[0]} … {found[-1]}")
        else:
            holds = None if key in _MAY_BE_SILENT else False
            seen = f"no answer had it; the last was: {shown(heard[-1].raw)}"
            yield Finding(f"status.{key}", holds, seen)


def _errors(recipe: Recipe, heard: list[Heard]) -> Iterator[Finding]:
    """A job that has failed shows where its reason is."""
    where = recipe.status.error
    for each in heard:
        report = each.answer
        if where and isinstance(report, Report) and report.status is Status.FAILED:
            said = where.find(_parsed(each.raw))
            holds = isinstance(said, str) and bool(said)
            yield Finding("status.error", holds, said if holds else shown(each.raw))
            return


def _numbers(heard: list[Heard]) -> Iterator[Finding]:
    pairs = [(h.job_id, h.answer) for h in heard if isinstance(h.answer, Report)]
    for job_id in dict.fromkeys(job_id for job_id, _ in pairs):
        told = [report.percentage for job, report in pairs if job == job_id]
        shares = [share for share in told if share is not None]
        if len(shares) > 1:
            rises = shares == sorted(shares)
            seen = f"{shares[0]} % … {shares[-1]} %"
            yield Finding("progress never goes down", rises, seen)
    reports = [report for _, report in pairs]
    raw = [each.progress for each in reports if each.progress is not None]
    if raw:
        seen = f"at most {max(raw):g}"
        yield Finding("a percentage is at most 100", max(raw) <= 100, seen)
    sizes = [(r.done, r.total) for r in reports if r.done is not None and r.total]
    over = [f"{done} of {total}" for done, total in sizes if done > total]
    if sizes:
        seen = over[0] if over else f"{sizes[-1][0]} of {sizes[-1][1]}"
        yield Finding("done is at most total", not over, seen)


def _unused(recipe: Recipe, heard: list[Heard]) -> Iterator[Finding]:
    """Numbers that rose from answer to answer, and that the recipe does not name."""
    texts = " ".join(where.text for where in recipe.status.expressions.values())
    named = set(re.findall(r"\w+", texts))
    seen: dict[str, set[float]] = {}
    for each in heard:
        for path, number in _numbers_in(_parsed(each.raw), ""):
            seen.setdefault(path, set()).add(number)
    for path, values in seen.items():
        if len(values) > 2 and path.rpartition(".")[2] not in named:
            said = f"{min(values):g} … {max(values):g}"
            yield Finding(f"the service also tells {path}", None, said)


def _numbers_in(said: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(said, dict):
        for key, value in said.items():
            yield from _numbers_in(value, f"{path}.{key}" if path else key)
    elif isinstance(said, int | float) and not isinstance(said, bool):
        yield path, said


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def shown(raw: bytes) -> str:
    """An answer as a text; whoever prints it masks it, and only then cuts it."""
    return raw.decode("utf-8", "replace")
