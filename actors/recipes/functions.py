"""The functions that expressions have beyond those of JMESPath."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from jmespath.exceptions import JMESPathTypeError
from jmespath.functions import Functions, signature

from actors.json_input import parse_json
from actors.limits import MAX_MATCHED_CHARACTERS

from .quantity import as_number


class RecipeFunctions(Functions):
    """JMESPath's functions and ours. A function of a value of a wrong type is null.

    So `contains(error.message, 'gone') || is_old` works if there is no error.
    """

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        try:
            return super().call_function(function_name, resolved_args)
        except JMESPathTypeError:
            return None

    @signature({"types": []}, {"types": []})
    def _func_minus(self, a: Any, b: Any) -> int | float | None:
        """Return a - b; each may be a text that is a number."""
        first, second = as_number(a), as_number(b)
        return None if first is None or second is None else first - second

    @signature({"types": ["string"]}, {"types": ["string"]})
    def _func_match(self, text: str, pattern: str) -> str | None:
        """Return the last match's first group, or all of the match if it has none."""
        matches = list(re.finditer(pattern, text[-MAX_MATCHED_CHARACTERS:]))
        if not matches:
            return None
        last = matches[-1]
        return last[1] if last.re.groups else last[0]

    @signature({"types": ["string"]})
    def _func_from_json(self, text: str) -> Any:
        try:
            return parse_json(text)
        except ValueError:
            return None


def check_call(name: str, arguments: list[Any]) -> None:
    """Raise ValueError if there is no such function, or if it takes other arguments.

    Each argument is a node of a parsed expression.
    """
    function = RecipeFunctions.FUNCTION_TABLE.get(name)
    if function is None:
        raise ValueError(f"there is no function {name}()")
    wanted = function["signature"]
    has_more = bool(wanted) and wanted[-1].get("variadic")
    if len(arguments) < len(wanted) or (len(arguments) > len(wanted) and not has_more):
        raise ValueError(f"{name}() takes {len(wanted)} arguments")
    if name == "match" and arguments[1]["type"] == "literal":
        _check_pattern(arguments[1]["value"])


def _check_pattern(pattern: Any) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression") from error
