"""A JMESPath expression: it says where in an answer a value stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from .functions import RecipeFunctions, check_call

_OPTIONS = jmespath.Options(custom_functions=RecipeFunctions())
_PATHS = frozenset(
    {
        *("subexpression", "index_expression", "projection", "value_projection"),
        *("filter_projection", "flatten"),
    }
)


class Expression:
    """A compiled JMESPath expression (https://jmespath.org/specification.html).

    A plain path such as `job.state`, which is nearly every one and is read for every
    poll, is followed without the interpreter; `keys` has its parts.
    """

    def __init__(self, text: str) -> None:
        """Compile `text`; raises ValueError if it is not JMESPath."""
        try:
            compiled = jmespath.compile(text)
        except JMESPathError as error:
            raise ValueError(f"{text!r} is not a JMESPath expression") from error
        self.text = text
        self.keys = keys = _plain_path(compiled.parsed)
        if keys is None:
            _check(compiled.parsed, text)
        self.find: Callable[[Any], Any] = (
            _search(compiled) if keys is None else _follow(keys)
        )

    def holds(self, document: Any) -> bool:
        """True if the value is what JMESPath calls true: 0 is, an empty list is not."""
        value = self.find(document)
        return value is not None and value is not False and value not in ("", [], {})


def _search(compiled: Any) -> Callable[[Any], Any]:
    def find(document: Any) -> Any:
        try:
            return compiled.search(document, options=_OPTIONS)
        except (ValueError, TypeError, ArithmeticError, re.error):
            return None  # JMESPathError is a ValueError

    return find


def _check(tree: Any, text: str) -> None:
    """Refuse that which JMESPath takes, and reads in a way that nobody means."""
    for node in _nodes(tree):
        children = node["children"]
        if node["type"] in _PATHS and children[0]["type"] == "not_expression":
            raise ValueError(
                f"{text!r} negates only the part before the dot; "
                "put the path in parentheses, as in !(a.b)"
            )
        if node["type"] == "function_expression":
            try:
                check_call(node["value"], children)
            except ValueError as error:
                raise ValueError(f"{text!r} cannot work: {error}") from error


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node["children"]:
        if isinstance(child, dict):  # the parts of a slice are numbers
            yield from _nodes(child)


def _plain_path(node: Any) -> list[str] | None:
    if node["type"] == "field":
        return [node["value"]]
    if node["type"] != "subexpression":
        return None
    parts = [_plain_path(child) for child in node["children"]]
    return None if None in parts else [key for part in parts for key in part or ()]


def _follow(keys: list[str]) -> Callable[[Any], Any]:
    def find(document: Any) -> Any:
        for key in keys:
            if not isinstance(document, dict):
                return None
            document = document.get(key)
        return document

    return find
