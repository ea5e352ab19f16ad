"""Fences: a param inside a text that another program reads must be fenced in.

A text body may be SQL, a text with braces GraphQL, or JSON in a text. There a param may
be a number, a flag, or a text whose `enum` or `pattern` says all that it can be. Or
it is written as JSON into a text with braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .format import Recipe
from .template import Placeholder, Text

_HARMLESS = ({"number"}, {"integer"}, {"boolean"}, {"integer", "number"})


def check_fences(recipe: Recipe, schema: Mapping[str, Any]) -> None:
    """Raise ValueError, which names the param, if a param of a text has no fence."""
    for call, placeholder in _fenced(recipe):
        if not _has_fence(schema["properties"].get(placeholder.name)):
            raise ValueError(
                f"{placeholder} needs `enum`, `pattern` or a number's `type`, for it "
                f"stands in a text - at `$.params.properties.{placeholder.name}` "
                f"(used in `$.{call}`)"
            )


def whole_patterns(recipe: Recipe) -> dict[str, re.Pattern[str]]:
    """The patterns that must fit all of a param; JSON Schema's may fit a part of it."""
    properties = recipe.params.get("properties", {})
    return {
        each.name: re.compile(properties[each.name]["pattern"])
        for _, each in _fenced(recipe)
        if "pattern" in properties[each.name] and "enum" not in properties[each.name]
    }


def _fenced(recipe: Recipe) -> Iterator[tuple[str, Placeholder]]:
    """Every param in a text that may be a program, by the name of its call."""
    for name, call in recipe.calls.items():
        bodies = call.text.texts if call.text else []
        texts = call.json.texts if call.json else []
        programs = list(filter(_may_be_a_program, texts))
        for text in [*bodies, *programs]:
            for each in text.placeholders:
                is_encoded = text in programs and each.how == "json"
                if each.root == "params" and not is_encoded:
                    yield name, each


def _may_be_a_program(text: Text) -> bool:
    return any(brace in part for part in text.constants for brace in "{}")


def _has_fence(rule: Any) -> bool:
    if not isinstance(rule, dict):
        return False
    kind = rule.get("type")
    kinds = set(kind) if isinstance(kind, list) else {kind}
    is_closed = "enum" in rule or "const" in rule
    return (
        is_closed or kinds in _HARMLESS or (kinds == {"string"} and "pattern" in rule)
    )
