"""Schemas of an OpenAPI document: as params of a recipe, and as example answers."""

from __future__ import annotations

import re
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

from .openapi import Document, items, table
from .samples import path_of
from .words import meaning

MAX_DEPTH = 4
MAX_CHARACTERS = 300
_TEXTS = ("title", "description")
_NUMBERS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength"),
    *("maxLength", "minItems", "maxItems"),
)
_TYPES = ("string", "integer", "number", "boolean", "array", "object")


def as_param(document: Document, node: Any, depth: int = 0) -> dict[str, Any]:
    """Return a schema as a recipe takes it; empty if it cannot be understood."""
    if depth == 0:
        document.begin()
    found = document.schema(node)
    kept: dict[str, Any] = {}
    if kind := _type(found):
        kept["type"] = kind
    for key in _TEXTS:
        if isinstance(text := found.get(key), str):
            kept[key] = " ".join(text.split())[:MAX_CHARACTERS].replace("${", "$ {")
    kept |= {k: found[k] for k in _NUMBERS if _is_number(found.get(k))}
    kept |= {k: found[k] for k in ("pattern", "format") if _is_safe(found.get(k))}
    if choices := [each for each in items(found.get("enum")) if _is_safe(each)]:
        kept["enum"] = choices
    if _is_safe(found.get("default")):
        kept["default"] = found["default"]
    if depth < MAX_DEPTH:
        kept |= _inner(document, found, depth)
    return kept if _is_schema(kept) else {}


def _inner(document: Document, found: dict[str, Any], depth: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if found.get("items"):
        kept["items"] = as_param(document, found["items"], depth + 1)
    if properties := table(found.get("properties")):
        kept["properties"] = {
            name: as_param(document, each, depth + 1)
            for name, each in properties.items()
        }
        kept["required"] = [n for n in items(found.get("required")) if n in properties]
    return kept


class Example:
    """An answer that fits a schema; `words` has what each text may be, by its place."""

    def __init__(self, document: Document, node: Any) -> None:
        self._document = document
        self.words: dict[str, list[Any]] = {}
        self.flags: list[str] = []
        self.unbounded: set[str] = set()
        document.begin()
        self.value = self._value(node, [])

    def _value(self, node: Any, names: list[str]) -> Any:
        schema = self._document.schema(node)
        properties = table(schema.get("properties"))
        if properties and len(names) < MAX_DEPTH:
            return {k: self._value(v, [*names, k]) for k, v in properties.items()}
        kind, where = _type(schema), path_of(names)
        if kind in ("integer", "number"):
            return self._number(schema, where)
        if kind == "boolean":
            self.flags.append(where)
            return True
        if kind in ("array", "object"):
            return []
        return self._text(schema, where)

    def _number(self, schema: dict[str, Any], where: str) -> float:
        most = schema.get("maximum")
        if most is None:
            self.unbounded.add(where)
        is_share = isinstance(most, int | float) and most <= 1
        return 0.5 if is_share else 40

    def _text(self, schema: dict[str, Any], where: str) -> Any:
        choices = [each for each in items(schema.get("enum")) if isinstance(each, str)]
        said = [schema.get("description"), schema.get("example"), schema.get("default")]
        told = re.findall(r"[\w-]+", " ".join(t for t in said if isinstance(t, str)))
        words = choices or [word for word in dict.fromkeys(told) if meaning(word)]
        self.words[where] = words
        return next((word for word in words if meaning(word)), "x")


def _type(schema: dict[str, Any]) -> str | None:
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind in _TYPES:
            return str(kind)
    return "object" if schema.get("properties") else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_safe(value: Any) -> bool:
    """True for a plain value in which no variable would be filled in."""
    is_plain = isinstance(value, str | int | float | bool)
    return is_plain and "${" not in str(value)


def _is_schema(schema: dict[str, Any]) -> bool:
    try:
        Draft202012Validator.check_schema(schema)
        re.compile(schema.get("pattern", ""))
    except (SchemaError, re.error, RecursionError):
        return False
    return True
