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
from .format import AnyRecipe, PythonRecipe, Recipe
from .in_python import read
from .mistakes import in_one_line
from .prepare import prepared
from .template import PLACEHOLDER

_VARIABLE = re.compile(
    r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
)

MIN_SECRET_CHARACTERS = 4


class RecipeError(Exception):
    """A recipe cannot be used; the message names the file and the key."""


def load_recipe(path: Path, environ: Mapping[str, str] = os.environ) -> Recipe:
    """Read a recipe that says how to speak HTTP; raises RecipeError."""
    recipe = load(path, environ)
    if isinstance(recipe, PythonRecipe):
        raise RecipeError(
            f"{path}: `backend` names a class in Python, only recipes of HTTP services "
            "can be used here - at `$.backend`"
        )
    return recipe


def load(path: Path, environ: Mapping[str, str] = os.environ) -> AnyRecipe:
    """Read one recipe; raises RecipeError, which names the file and the key."""
    text = ""
    try:
        text = path.read_text("utf-8")
        document = _filled_in(tomllib.loads(text), environ, "$")
        if "backend" in document:
            return read(document)
        recipe = msgspec.convert(prepared(document), Recipe, dec_hook=_decode)
        return checked(recipe)
    except (OSError, UnicodeDecodeError, ValueError, SchemaError) as error:
        line = without_values(in_one_line(error), text, environ)
        raise RecipeError(f"{path}: {line}") from error


def without_values(line: str, text: str, environ: Mapping[str, str]) -> str:
    """Name the variables in a line instead of their values, which may be secret."""
    for match in _VARIABLE.finditer(text):
        value = environ.get(match["name"], "")
        if len(value) >= MIN_SECRET_CHARACTERS:
            line = line.replace(value, f"${{{match['name']}}}")
    return line


def _decode(kind: type, value: Any) -> Any:
    takes = getattr(kind, "TAKES", str)
    if not isinstance(value, takes):
        raise ValueError(f"Expected `{takes.__name__}`, got `{type(value).__name__}`")
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

    filled = _VARIABLE.sub(fill, value)
    if _places(filled) != _places(_VARIABLE.sub("\0", value)):
        raise ValueError(f"a variable may not bring a placeholder - at `{key}`")
    return filled


def _places(text: str) -> list[str]:
    return [match[0] for match in PLACEHOLDER.finditer(text)]
