"""Keeps the values of a recipe's variables out of all that is printed."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from actors.recipes.load import RecipeError, load_recipe

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
MIN_SECRET_CHARACTERS = 4


class Mask:
    """Replaces secrets in a text."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        self._secrets = sorted(set(secrets), key=lambda pair: -len(pair[1]))

    @classmethod
    def of(cls, path: Path, environ: Mapping[str, str] = os.environ) -> Self:
        """The secrets are all variables that the recipe names, and its Authorization.

        Of a variable that is an address, user and password are secret.
        """
        try:
            names = set(_VARIABLE.findall(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError):  # the loader says what is wrong
            names = set()
        values = [(f"${{{name}}}", environ.get(name, "")) for name in names]
        return cls(_forms([*values, *_authorization(path, environ)]))

    @classmethod
    def hiding(cls, variables: Mapping[str, str]) -> Self:
        """Hide the values of variables; of one that is an address, its password."""
        return cls(_forms((f"${{{name}}}", text) for name, text in variables.items()))

    def __call__(self, text: str) -> str:
        for name, value in self._secrets:
            text = text.replace(value, name)
        return text


def _authorization(path: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    try:
        headers = load_recipe(path, environ).headers_of_all
    except RecipeError:  # it is printed by the caller, without secrets
        return
    for name, value in headers.items():
        if name.lower() == "authorization":
            yield "…", value.rpartition(" ")[2]


def _forms(secrets: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each secret as it may stand in an answer: in JSON, in Base64."""
    for name, value in secrets:
        for part in _parts(value):
            if len(part) >= MIN_SECRET_CHARACTERS:
                yield name, part
                yield name, json.dumps(part)[1:-1]
                yield name, base64.b64encode(part.encode()).decode()


def _parts(value: str) -> list[str]:
    if "://" not in value:
        return [value]
    address = urlsplit(value)
    return [address.password or ""]
