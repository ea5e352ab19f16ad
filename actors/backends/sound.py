"""Checks the answers of a class in Python, before they become part of a job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.limits import (
    MAX_ANSWER_BYTES,
    MAX_KEPT,
    MAX_KEPT_CHARACTERS,
    MAX_LISTED,
    MAX_NUMBER,
    MAX_REF_CHARACTERS,
    MAX_STEPS,
    MAX_TITLE_CHARACTERS,
)
from actors.report import Report
from actors.requests import Action
from actors.status import Failure, Status

from . import Adoptable, Started
from .documents import text


def sound_start(started: Any) -> Started:
    """Return the answer to a start; raises ValueError or TypeError."""
    if not isinstance(started, Started):
        raise TypeError(f"start must return Started, not {type(started).__name__}")
    return Started(_ref(started.ref), _kept(started.kept))


def sound_adoptable(jobs: Any) -> list[Adoptable]:
    """Return the answer to adoptable; raises ValueError or TypeError."""
    jobs = list(jobs)[:MAX_LISTED]
    for each in jobs:
        if not isinstance(each, Adoptable):
            raise TypeError(f"each must be an Adoptable, not {type(each).__name__}")
    return [Adoptable(_ref(each.ref), _title(each.title)) for each in jobs]


def _title(title: Any) -> str | None:
    return (text(title) or "")[:MAX_TITLE_CHARACTERS] or None


def sound_report(report: Any, title: str, unit: str | None) -> Report:
    """Return a report with its texts cut; raises ValueError or TypeError."""
    if not isinstance(report, Report):
        raise TypeError(f"a report must be a Report, not {type(report).__name__}")
    status = Status(report.status)
    error = report.error
    if status is Status.FAILED:
        error = error or Failure("backend_failed", f"{title} could not finish it.")
        error = Failure(error.code, text(error.message) or error.code)
    return replace(
        report,
        status=status,
        progress=_number("progress", report.progress),
        done=_number("done", report.done),
        total=_number("total", report.total) or None,
        unit=report.unit or unit,
        message=text(report.message),
        steps=tuple(report.steps[:MAX_STEPS]) if report.steps else None,
        result=_result(report.result),
        error=error,
        ref=None if report.ref is None else _ref(report.ref),
        kept=_kept(report.kept) if report.kept else report.kept,
        can=None if report.can is None else tuple(Action(each) for each in report.can),
    )


def _number(name: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not math.isfinite(value) or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{name} must be from 0 to {MAX_NUMBER}, not {value}")
    return value


def _result(result: Any) -> dict[str, Any] | None:
    if result is None:
        return None
    if not isinstance(result, dict):
        raise TypeError(f"result must be a dict, not {type(result).__name__}")
    length = len(msgspec.json.encode(result))
    if length > MAX_ANSWER_BYTES:
        raise ValueError(f"result has {length} bytes, more than {MAX_ANSWER_BYTES}")
    return result


def _ref(ref: Any) -> str:
    if not isinstance(ref, str) or not 0 < len(ref) <= MAX_REF_CHARACTERS:
        raise ValueError(f"ref must be a text of 1 to {MAX_REF_CHARACTERS} characters")
    return ref


def _kept(kept: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(kept)
    if len(values) > MAX_KEPT:
        raise ValueError(f"kept may have {MAX_KEPT} values, not {len(values)}")
    for name, value in values.items():
        if not isinstance(value, str | int | float):
            raise TypeError(f"kept {name} must be a text or a number")
        if len(str(value)) > MAX_KEPT_CHARACTERS:
            raise ValueError(f"kept {name} has over {MAX_KEPT_CHARACTERS} characters")
    return values
