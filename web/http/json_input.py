"""JSON from outside: parsed, then fitted to a shape; a Problem for each failure."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from web.http.problems import Problem

MOST_BYTES = 64 * 1024  # of a body or a message

T = TypeVar("T")


def parsed(text: bytes | str) -> Any:
    """Parse JSON; raises a 400 Problem."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:  # too deep is as bad as wrong
        raise Problem(400, "bad_json", "This is not valid JSON.") from error


def fitted(value: Any, kind: type[T]) -> T:
    """Fit what was parsed to a shape; raises a 422 Problem."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Problem(422, "bad_shape", f"{error}.") from error
