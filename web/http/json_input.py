"""JSON from a client: parsed, then fitted to a shape; each failure is a Problem."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from actors import TooDeepError, parse_json

from .problems import Problem

T = TypeVar("T")


def parsed(text: bytes | str) -> Any:
    """Parse JSON; raises a 400 Problem."""
    try:
        return parse_json(text)
    except TooDeepError as error:
        raise Problem(400, "too_deep", "This JSON is nested too deep.") from error
    except ValueError as error:
        raise Problem(400, "bad_json", "This is not valid JSON.") from error


def fitted(value: Any, kind: type[T]) -> T:
    """Fit a parsed value to a shape; raises a 422 Problem."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "bad_shape", f"{error}.") from error
