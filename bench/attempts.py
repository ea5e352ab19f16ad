"""Runs measurements so that one that fails does not end the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .say import say

MAX_LINE = 200  # characters

P = ParamSpec("P")
T = TypeVar("T")


class Attempts:
    """Runs measurements, and keeps in `failed` the name and the reason of failures."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def run(
        self, name: str, measure: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Return the result of `measure`; if it fails, say why and return None."""
        try:
            return measure(*args, **kwargs)
        except Exception as error:
            self.failed.append(f"{name}: {_reason(error)}")
            say(f"Not measured: {self.failed[-1]}")
            return None


def _reason(error: Exception) -> str:
    """Its first and its last line; a process's whole log can be between them."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    lines = [line[:MAX_LINE] for line in str(error).splitlines()]
    return " … ".join([type(error).__name__, *lines[:1], *lines[1:][-1:]])
