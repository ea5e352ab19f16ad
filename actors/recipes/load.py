"""Reads a recipe from its TOML file; a mistake names the file and the key."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import SchemaError

from .checks import checked
from .format import Recipe

_VARIABLE = re.compile(
    r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
)


class RecipeError(Exception):
    """A recipe cannot be used; the message names the file and the key."""


def load_recipe(path: Path, environ: Mapping[str, str] = os.environ) -> Recipe:
    """Read one recipe; raises RecipeError, which names the file and the key."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        document = _filled_in(document, environ, "$")
        recipe = msgspec.convert(document, Recipe, dec_hook=_decode)
        return checked(recipe)
    except (OSError, UnicodeDecodeError, ValueError, SchemaError) as error:
        raise RecipeError(f"{path}: {_in_one_line(error)}") from error


def _decode(kind: type, value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
    return kind(value)


def _filled_in(value: Any, environ: Mapping[str, str], key: str) -> Any:
    """Replace `${NAME}` and `${NAME:-default}` in every string."""
    if isinstance(value, dict):
        return {k: _filled_in(v, environ, f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_filled_in(v, environ, f"{key}[{n}]") for n, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        text = environ.get(match["name"]) or match["default"]
        if text is None:
            raise ValueError(f"the variable {match['name']} is not set - at `{key}`")
        return text

    return _VARIABLE.sub(fill, value)


def _in_one_line(error: Exception) -> str:
    if isinstance(error, SchemaError):
        where = ".".join(["$.params", *map(str, error.absolute_path)])
        return f"{error.message} - at `{where}`"
    return " ".join(str(error).split())
