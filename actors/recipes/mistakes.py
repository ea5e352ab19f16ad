"""A mistake in a recipe as one line: the key, what was expected, the nearest key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from jsonschema import SchemaError

from actors.status import Status

from .format import Recipe
from .template import nearest

_WHERE = re.compile(r" - at `(?:key` in `)?\$?\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>[^`]*)`")
_NO_CHOICE = re.compile(r"Invalid enum value '(?P<key>[^']*)'")


def in_one_line(error: Exception) -> str:
    """Say what is wrong in a recipe; the file is said by the caller."""
    if isinstance(error, SchemaError):
        where = ".".join(["$.params", *map(str, error.absolute_path)])
        return f"{error.message} - at `{where}`"
    text = " ".join(str(error).split())
    return _explained(text) if isinstance(error, msgspec.ValidationError) else text


def _explained(text: str) -> str:
    where = _WHERE.search(text)
    path = where["path"] if where else ""
    place = f"$.{path}" if path else "$"
    if unknown := _UNKNOWN.match(text):
        keys = _keys_at(path)
        hint = nearest(unknown["key"], keys) or f"; there are {', '.join(keys)}"
        return f"`{unknown['key']}` is not a key - at `{place}`{hint}"
    if missing := _MISSING.match(text):
        return f"the key `{missing['key']}` is missing - at `{place}`"
    if wrong := _NO_CHOICE.match(text):
        choices = list(_choices_in(_kind_at(path)))
        hint = nearest(wrong["key"], choices)
        expected = f"one of {', '.join(choices)}"
        return f"`{wrong['key']}` must be {expected} - at `{place}`{hint}"
    return text


def _keys_at(path: str) -> list[str]:
    """The keys of the table at `path`, such as `status.absent`."""
    table = next(_tables_in(_kind_at(path)), None)
    return [field.encode_name for field in msgspec.structs.fields(table or Recipe)]


def _kind_at(path: str) -> Any:
    """The type of the value at `path`, such as `cancel.claims[0]`."""
    kind: Any = Recipe
    for name in filter(None, path.split(".")):
        table = next(_tables_in(kind), None)
        kind = get_type_hints(table).get(name.partition("[")[0]) if table else None
    return kind


def _tables_in(kind: Any) -> Iterator[Any]:
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            yield each


def _choices_in(kind: Any) -> Iterator[str]:
    """The texts that a type allows, also inside a list or as the keys of a table."""
    if get_origin(kind) is Literal:
        yield from get_args(kind)
    elif kind is Status:
        yield from Status
    else:
        for each in get_args(kind):
            yield from _choices_in(each)
