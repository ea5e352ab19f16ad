"""Suggests expressions for a saved answer: fields that look like an id or a state."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from actors.limits import MAX_NESTING

from .words import FIELDS, meaning, plain

MAX_BYTES = 1_000_000
MAX_FIELDS = 2_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Field(NamedTuple):
    """One value of an answer: the expression that finds it, its name, itself."""

    where: str
    name: str
    value: Any


class Sample:
    """A saved answer; `where` has an expression for each thing that was found."""

    def __init__(self, document: Any) -> None:
        self._fields = list(islice(_fields(document), MAX_FIELDS))
        found = ((key, self._find(key)) for key in FIELDS)
        self.where = {key: field.where for key, field in found if field}
        self._drop_doubles()

    @classmethod
    def read(cls, path: Path) -> Sample:
        """Read a file; raises ValueError, which says how to mend it."""
        try:
            with path.open("rb") as file:
                body = file.read(MAX_BYTES + 1)
            if len(body) > MAX_BYTES:
                raise ValueError("it is larger than 1 MB")
            return cls(json.loads(body))
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no answer in JSON: {error}.") from error

    @property
    def word(self) -> str | None:
        """The state in this answer."""
        where = self.where.get("state")
        words = [each.value for each in self._fields if each.where == where]
        return words[0] if words else None

    def named(self, name: str) -> str | None:
        """Return where a field of this name is."""
        wheres = (f.where for f in self._fields if plain(f.name) == plain(name))
        return next(wheres, None)

    def _find(self, key: str) -> Field | None:
        names = FIELDS[key]
        fits = [f for f in self._fields if plain(f.name) in names and _fits(key, f)]
        return min(fits, key=lambda f: _rank(f, names), default=None)

    def _drop_doubles(self) -> None:
        """A count is of no use without its total, nor a second kind of progress."""
        if "percent" in self.where:
            self.where.pop("fraction", None)
        if not {"done", "total"} <= self.where.keys():
            self.where.pop("done", None)
            self.where.pop("total", None)


def path_of(names: list[str]) -> str:
    """Return the JMESPath expression of a path of names."""
    return ".".join(n if _NAME.fullmatch(n) else json.dumps(n) for n in names)


def _rank(field: Field, names: tuple[str, ...]) -> tuple[bool, int, int]:
    unusual = isinstance(field.value, str) and meaning(field.value) is None
    return unusual, field.where.count("."), names.index(plain(field.name))


def _fits(key: str, field: Field) -> bool:
    value = field.value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if key == "fraction":
        return isinstance(value, float) and 0 <= value <= 1
    if key == "percent":
        return is_number and not (isinstance(value, float) and 0 < value < 1)
    if key in ("done", "total"):
        return is_number
    if key == "ref":
        return is_number or isinstance(value, str)
    return isinstance(value, str) or (value is None and key in ("message", "error"))


def _fields(document: Any) -> Iterator[Field]:
    """Yield every value that is no object, those that lie high first."""
    waiting: deque[tuple[list[str], Any]] = deque([([], document)])
    while waiting:
        names, value = waiting.popleft()
        if isinstance(value, dict) and len(names) < MAX_NESTING:
            waiting.extend(([*names, str(k)], v) for k, v in value.items())
        elif names and not isinstance(value, dict | list):
            yield Field(path_of(names), _label(names), value)


def _label(names: list[str]) -> str:
    """The message of an error is the reason, not what the job does."""
    is_reason = len(names) > 1 and plain(names[-2]) == "error"
    return "error" if is_reason and plain(names[-1]) == "message" else names[-1]
