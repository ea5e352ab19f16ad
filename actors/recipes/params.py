"""The params of a start, checked against the JSON Schema of their recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match


class ParamsError(Exception):
    """The params do not fit; the message is a sentence for people."""


class Params:
    """A JSON Schema whose defaults are filled in before it is applied.

    A pattern in `whole` must fit all of its param, not only a part as in JSON Schema.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        whole: Mapping[str, re.Pattern[str]] | None = None,
    ) -> None:
        self._defaults = {
            name: rule["default"]
            for name, rule in schema["properties"].items()
            if isinstance(rule, dict) and "default" in rule
        }
        self._whole = whole or {}
        self._validator = Draft202012Validator(schema)

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return `given` with defaults filled in; raises ParamsError."""
        params = {**self._defaults, **given}
        try:
            error = best_match(self._validator.iter_errors(params))
        except RecursionError as too_deep:
            raise ParamsError("The parameters are nested too deep.") from too_deep
        if error is not None:
            name = ".".join(map(str, error.absolute_path))
            where = f"The parameter {name} does not fit" if name else "The parameters"
            raise ParamsError(f"{where}: {error.message[:200]}.")
        for name, pattern in self._whole.items():
            if name in params and not pattern.fullmatch(str(params[name])):
                raise ParamsError(
                    f"The parameter {name} does not fit: all of it must match "
                    f"{pattern.pattern[:200]!r}."
                )
        return params
