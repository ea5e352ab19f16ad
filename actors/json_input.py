"""JSON from outside, with a limit on its nesting.

How deep the interpreter itself can read and write differs between its versions; a value
that one process can read must be one that each process can write.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.limits import MAX_NESTING


class TooDeepError(ValueError):
    """The JSON is nested deeper than MAX_NESTING."""


def parse_json(text: bytes | str, *, is_checked: bool = True) -> Any:
    """Parse JSON; raises ValueError if it is wrong, TooDeepError if it is too deep.

    Unless `is_checked`, only the interpreter's own limit holds.
    """
    try:
        value = msgspec.json.decode(text)
    except RecursionError as error:
        raise TooDeepError from error
    if is_checked and brackets(text) > MAX_NESTING and is_too_deep(value):
        raise TooDeepError
    return value


def is_too_deep(value: Any, levels: int = MAX_NESTING) -> bool:
    """True if lists and objects stand in each other more than so many times."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    for child in value:
        if isinstance(child, dict | list) and (
            levels == 1 or is_too_deep(child, levels - 1)
        ):
            return True
    return False


def brackets(text: bytes | str) -> int:
    """Count the lists and objects in a JSON text, and perhaps more.

    Counting is fast, and nearly every answer has fewer of them than it may nest.
    """
    if isinstance(text, bytes):
        return text.count(b"[") + text.count(b"{")
    return text.count("[") + text.count("{")
