"""A JMESPath expression: it says where in an answer a value stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError


class Expression:
    """A compiled JMESPath expression (https://jmespath.org/specification.html).

    A plain path such as `job.state`, which is nearly every one and is read for every
    poll, is followed without the interpreter.
    """

    def __init__(self, text: str) -> None:
        """Compile `text`; raises ValueError if it is not JMESPath."""
        try:
            compiled = jmespath.compile(text)
        except JMESPathError as error:
            raise ValueError(f"{text!r} is not a JMESPath expression") from error
        keys = _plain_path(compiled.parsed)
        self.find: Callable[[Any], Any] = (
            _search(compiled) if keys is None else _follow(keys)
        )


def _search(compiled: Any) -> Callable[[Any], Any]:
    def find(document: Any) -> Any:
        try:
            return compiled.search(document)
        except ValueError:  # JMESPathError is one
            return None  # such as a function applied to a missing value

    return find


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
