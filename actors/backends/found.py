"""Finds a value where a recipe says that an answer has it."""

from __future__ import annotations

from typing import Any

from actors.recipes.calls import Source

from .answer import HttpAnswer


def find(where: Source, answer: HttpAnswer, said: Any) -> Any:
    """Return the value of an answer, whose body is `said`; None if it has none."""
    if where.header:
        return answer.headers.get(where.header)
    assert where.where  # a source has one of them
    return where.where.find(said)
