"""`python -m dev.schema`: makes docs/recipe.schema.json, for editors, of the format."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from actors.recipes.expression import Expression
from actors.recipes.format import PythonRecipe, Recipe
from actors.recipes.parts import Body, Fields, Headers, RequestLine
from actors.recipes.template import Shape
from actors.status import Status
from dev.processes import ROOT

PATH = ROOT / "docs" / "recipe.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string"}
_VALUE = {"type": ["string", "number", "boolean", "array"]}
_KINDS: dict[Any, dict[str, Any]] = {
    Expression: {**_TEXT, "description": "A JMESPath expression over the answer."},
    RequestLine: {
        **_TEXT,
        "description": "A method and a path, such as GET /jobs/{ref}",
        "pattern": "^(GET|POST|PUT|PATCH|DELETE) [/{$]",
    },
    Headers: {"type": "object", "additionalProperties": _TEXT},
    Fields: {"type": "object", "additionalProperties": _VALUE},
    Body: _TEXT,
    Shape: {"description": "JSON of any shape, with placeholders."},
}
# What may be written as one text; actors/recipes/prepare.py writes it out.
_SHORT = ("Source", "Reference")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe as it is written in its file."""
    [http, python], tables = msgspec.json.schema_components(
        [Recipe, PythonRecipe],
        schema_hook=_KINDS.__getitem__,
        ref_template="#/$defs/{name}",
    )
    for table in tables.values():
        _loosen(table)
    for name in _SHORT:
        tables[name] = {"anyOf": [_TEXT, tables[name]]}
    unless = tables["NamedCall"]["properties"]["unless"]
    tables["NamedCall"]["properties"]["unless"] = {"anyOf": [_TEXT, unless]}
    for name in ("Recipe", "PythonRecipe"):
        tables[name]["properties"]["$schema"] = _TEXT
    return {
        "$schema": DIALECT,
        "title": "A recipe of ProgRock",
        "if": {"required": ["backend"]},
        "then": python,
        "else": http,
        "$defs": tables,
    }


def _loosen(table: dict[str, Any]) -> None:
    """`[every]` may give a call its request; defaults only fill an editor's lines."""
    required = [key for key in table.get("required", ()) if key != "request"]
    table.pop("required", None)
    if required:
        table["required"] = required
    for rule in table.get("properties", {}).values():
        rule.pop("default", None)
    for key in {"states", "when"} & table.get("properties", {}).keys():
        if table["properties"][key].get("type") == "object":
            table["properties"][key]["propertyNames"] = {"enum": list(Status)}


def text() -> str:
    """Return the file as it has to be."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
