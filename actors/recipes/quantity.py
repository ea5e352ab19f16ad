"""Numbers as services give them: 42, "42 %", "1,271.5", "3/7", -1 for none."""

from __future__ import annotations

import re
from typing import Any

from actors.limits import MAX_NUMBER, MAX_NUMBER_CHARACTERS

_WRITTEN = re.compile(
    r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?"
)


def as_number(value: Any) -> int | float | None:
    """Return a number, also out of a text that is one; None if it is anything else."""
    if isinstance(value, str):
        value = _read(value)
    if type(value) is not int and type(value) is not float:  # a flag is no number
        return None
    return value if -MAX_NUMBER <= value <= MAX_NUMBER else None


def amount(value: Any) -> int | float | None:
    """Return a number that is not negative: many services say -1 for none."""
    if type(value) is int and 0 <= value <= MAX_NUMBER:
        return value  # as nearly always
    number = as_number(value)
    return None if number is None or number < 0 else number


def share(value: Any) -> float | None:
    """Return a percentage for a fraction of one: 0.5, "0.5" or "3/7"."""
    if isinstance(value, str) and "/" in value:
        done, _, total = map(amount, value.partition("/"))
        return done * 100 / total if done is not None and total else None
    fraction = amount(value)
    # 0.29 * 100 is 28.999999999999996, which would be shown as 28.9.
    return None if fraction is None else round(fraction * 100, 6)


def _read(text: str) -> int | float | None:
    if len(text) > MAX_NUMBER_CHARACTERS:
        return None
    digits = text.strip().removesuffix("%").rstrip()
    if not _WRITTEN.fullmatch(digits):
        return None
    digits = digits.replace(",", "")
    return int(digits) if digits.lstrip("+-").isdecimal() else float(digits)
