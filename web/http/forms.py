"""Fields of an HTML form, read as their JSON Schema wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .json_input import parsed
from .problems import Problem


class Field(NamedTuple):
    """A field of a form: where its value belongs, and the rule for it."""

    path: tuple[str, ...]
    rule: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name in the form, as templates/_fields.html writes it."""
        return ".".join(self.path)


def typed(form: Mapping[str, str], rules: Mapping[str, Any]) -> dict[str, Any]:
    """Give each field its type and its place; an empty one is left out.

    A box that is not ticked sends nothing, which says no if yes is the default.
    """
    fields = {field.name: field for field in _fields(rules)}
    strangers = {name: Field((name,), {}) for name in form.keys() - fields.keys()}
    params: dict[str, Any] = {}
    for name, field in (fields | strangers).items():
        if text := form.get(name):
            _put(params, field.path, _value(text, field.rule))
        elif field.rule.get("default") is True:
            _put(params, field.path, False)
    return params


def _fields(rules: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[Field]:
    """Each field of a form; the properties of an object are fields, too."""
    for name, rule in rules.items():
        inner = rule.get("properties") if isinstance(rule, dict) else None
        if inner and isinstance(inner, dict):
            yield from _fields(inner, (*above, name))
        else:
            yield Field((*above, name), rule if isinstance(rule, dict) else {})


def _put(params: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *groups, name = path
    for group in groups:
        params = params.setdefault(group, {})
    params[name] = value


def _value(text: str, rule: Mapping[str, Any]) -> Any:
    if rule.get("type") in ("string", ["string", "null"], ["null", "string"]):
        return text
    try:
        return parsed(text)
    except Problem:
        return text  # the schema says why it does not fit
