"""Keeps the values of a recipe's variables out of all that is printed."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
MIN_SECRET_CHARACTERS = 4


class Mask:
    """Replaces secrets in a text."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        self._secrets = sorted(secrets, key=lambda pair: -len(pair[1]))

    @classmethod
    def of(cls, path: Path, environ: Mapping[str, str]) -> Self:
        """The secrets are all variables that the recipe names, but addresses."""
        try:
            names = set(_VARIABLE.findall(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError):  # the loader says what is wrong
            names = set()
        values = {name: environ.get(name, "") for name in names}
        return cls(
            (name, form)
            for name, value in values.items()
            if len(value) >= MIN_SECRET_CHARACTERS and "://" not in value
            for form in (value, base64.b64encode(value.encode()).decode())
        )

    def __call__(self, text: str) -> str:
        for name, value in self._secrets:
            text = text.replace(value, f"${{{name}}}")
        return text
