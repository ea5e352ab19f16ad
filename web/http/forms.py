"""Fields of an HTML form, read as their JSON Schema wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .json_input import parsed
from .problems import Problem


def typed(form: Mapping[str, str], rules: Mapping[str, Any]) -> dict[str, Any]:
    """Give each field its type; an empty one is left out.

    A box that is not ticked sends nothing, which says no if yes is the default.
    """
    rules = {name: rule for name, rule in rules.items() if isinstance(rule, dict)}
    unticked = {
        name: False for name, rule in rules.items() if rule.get("default") is True
    }
    given = {
        name: _value(text, rules.get(name, {})) for name, text in form.items() if text
    }
    return {**unticked, **given}


def _value(text: str, rule: Mapping[str, Any]) -> Any:
    if rule.get("type") == "string":
        return text
    try:
        return parsed(text)
    except Problem:
        return text  # the schema says why it does not fit
