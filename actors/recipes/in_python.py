"""Reads a recipe that names a class in Python instead of HTTP calls."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from .format import PythonRecipe, Recipe, params_schema
from .template import nearest

KEYS = PythonRecipe.__struct_fields__
_ONLY_HTTP = frozenset(Recipe.__struct_fields__) - frozenset(KEYS)
_BACKEND = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def read(document: dict[str, Any]) -> PythonRecipe:
    """Return the recipe if it makes sense; raises ValueError, which names the key."""
    for key in document:
        _check_key(key)
    recipe = msgspec.convert(document, PythonRecipe)
    if not _BACKEND.fullmatch(recipe.backend):
        raise ValueError(
            "must be a module and a class, such as package.module:Class - "
            "at `$.backend`"
        )
    Draft202012Validator.check_schema(params_schema(recipe))
    return recipe


def _check_key(key: str) -> None:
    if key in _ONLY_HTTP:
        raise ValueError(
            f"`{key}` is only for HTTP services, and `backend` names a class in Python "
            f"- at `$.{key}`"
        )
    if key not in KEYS:
        hint = nearest(key, list(KEYS)) or f"; there are {', '.join(KEYS)}"
        raise ValueError(f"`{key}` is not a key - at `$`{hint}")
