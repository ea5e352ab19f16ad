"""Placeholders in the texts of a call, such as `{params.NAME}`, `{ref}` and `{job}`.

A recipe is taken apart once, when it is loaded. A value that is put in can then change
nothing but its own place: it is never read again for placeholders.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

PLACEHOLDER = re.compile(
    r"\{(?:(?P<root>ref/|refs?|job|null)|(?P<table>params|keep|login)\.(?P<name>[\w-]+))"
    r"(?:!(?P<how>json|csv|text))?\}"
)
_LOOKS_ALIKE = re.compile(r"\{([A-Za-z_]+)[.!/\w-]*\}")
_ALL = (
    "{params.NAME}, {keep.NAME}, {login.NAME}, {ref}, {ref/}, {refs}, {job}, {null}, "
    "and !json, !csv, !text"
)
ROOTS = ("params", "keep", "login", "ref", "refs", "job", "null")


class Values(NamedTuple):
    """The values of the placeholders of one call."""

    ref: str | int = ""
    params: Mapping[str, Any] = MappingProxyType({})
    job: str = ""
    refs: Sequence[str | int] = ()
    keep: Mapping[str, Any] = MappingProxyType({})
    login: Mapping[str, Any] = MappingProxyType({})


class Placeholder(NamedTuple):
    """One place in a text: `{params.size!text}` has a root, a name, a conversion."""

    root: str
    name: str = ""
    how: str = ""

    def __str__(self) -> str:
        return f"{{{self.root}{'.' if self.name else ''}{self.name}}}"

    def value(self, values: Values) -> Any:
        """Return the value with its type; UNSET if it is not known."""
        value = self._given(values)
        if not self.how or value is UNSET:
            return value
        if self.how == "csv" and isinstance(value, list | tuple):
            return ",".join(map(written, value))
        return as_json(value) if self.how == "json" else written(value)

    def _given(self, values: Values) -> Any:
        if self.name:
            return getattr(values, self.root).get(self.name, UNSET)
        if self.root == "null":
            return None
        return getattr(values, self.root.rstrip("/"))


class Text:
    """A text with placeholders."""

    def __init__(self, text: str) -> None:
        """Take `text` apart; raises ValueError for a slip such as `{param.size}`."""
        self.parts = tuple(_parts(text))
        self.sole = self.parts[0] if len(self.parts) == 1 else None
        for part in self.constants:
            _check_slips(part)

    @property
    def placeholders(self) -> list[Placeholder]:
        return [part for part in self.parts if isinstance(part, Placeholder)]

    @property
    def constants(self) -> list[str]:
        return [part for part in self.parts if isinstance(part, str)]

    def value(self, values: Values) -> Any:
        """Return the value of a text that is one placeholder, otherwise the text."""
        if isinstance(self.sole, Placeholder):
            return self.sole.value(values)
        return self.fill(values, lambda _, value: written(value))

    def fill(self, values: Values, write: Callable[[Placeholder, Any], str]) -> Any:
        """Return the whole text; UNSET if it needs a param that was not given."""
        filled = []
        for part in self.parts:
            if isinstance(part, Placeholder):
                value = part.value(values)
                if value is UNSET:
                    return UNSET
                filled.append(write(part, value))
            else:
                filled.append(part)
        return "".join(filled)


class Shape:
    """Any value with texts in it, such as the JSON of a request."""

    TAKES: Any = object

    def __init__(self, value: Any) -> None:
        self._value = _compiled(value)

    @property
    def texts(self) -> list[Text]:
        return list(_texts(self._value))

    def fill(self, values: Values) -> Any:
        """Return the value; keys whose param was not given are left out."""
        return _filled(self._value, values)


def written(value: Any) -> str:
    """Return a value as a part of a text."""
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def nearest(name: str, names: Sequence[str]) -> str:
    """Return "; did you mean …?" if one of `names` is near, otherwise nothing."""
    near = difflib.get_close_matches(name, names, 1, 0.7)
    return f"; did you mean `{near[0]}`?" if near else ""


def _parts(text: str) -> Iterator[str | Placeholder]:
    end = 0
    for match in PLACEHOLDER.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        root, table, name, how = match.group("root", "table", "name", "how")
        yield Placeholder(root or table, name or "", how or "")
        end = match.end()
    if end < len(text):
        yield text[end:]


def _check_slips(text: str) -> None:
    for match in _LOOKS_ALIKE.finditer(text):
        if match[1] in ROOTS:
            raise ValueError(f"{match[0]} is not a placeholder; there are {_ALL}")
        if hint := nearest(match[1], ROOTS):
            raise ValueError(f"{match[0]} is not a placeholder{hint}")


def _compiled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _compiled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_compiled(each) for each in value]
    if isinstance(value, str):
        text = Text(value)
        return text if text.placeholders else value
    return value


def _filled(value: Any, values: Values) -> Any:
    if isinstance(value, Text):
        return value.value(values)
    if isinstance(value, dict):
        pairs = ((key, _filled(each, values)) for key, each in value.items())
        return {key: each for key, each in pairs if each is not UNSET}
    if isinstance(value, list):
        filled = (_filled(each, values) for each in value)
        return [each for each in filled if each is not UNSET]
    return value


def _texts(value: Any) -> Iterator[Text]:
    if isinstance(value, Text):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
