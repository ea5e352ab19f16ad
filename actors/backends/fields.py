"""The values of an answer that are shown: where each stands, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.recipes.expression import Expression
from actors.recipes.quantity import amount, share
from actors.recipes.tables import StatusCall

from .documents import text

Field = tuple[str, Callable[[Any], Any], Callable[[Any], Any]]


def fields(rule: StatusCall) -> list[Field]:
    """Each value that the recipe knows a place for: its name, find it, read it."""
    fields: list[tuple[str, Expression | None, Callable[[Any], Any]]] = [
        ("done", rule.done, amount),
        ("total", rule.total, lambda value: amount(value) or None),  # 0: not known
        ("message", rule.message, text),
    ]
    found = [(name, where.find, read) for name, where, read in fields if where]
    return [*_progress(rule), *found]


def _progress(rule: StatusCall) -> list[Field]:
    percent, fraction = rule.percent or rule.progress, rule.fraction
    if percent is None:
        return [("progress", fraction.find, share)] if fraction else []
    if fraction is None:
        return [("progress", percent.find, amount)]

    def read(document: Any) -> float | None:
        known = amount(percent.find(document))
        return share(fraction.find(document)) if known is None else known

    return [("progress", lambda document: document, read)]
