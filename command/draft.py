"""A recipe that is being written: its keys, its comments, and it as TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from actors.recipes.load import load_recipe

Path_ = tuple[str, ...]
CHECK = "check:"

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# These tables get a heading of their own; others are written in one line.
_HEADED = re.compile(
    r"(headers|params|start|status|cancel|pause|resume|result)"
    r"|params\0properties(\0[^\0]+)?|status\0states|result\0values"
)


class Draft:
    """Collects the keys of a recipe, in their order, with a comment for each."""

    def __init__(self) -> None:
        self._document: dict[str, Any] = {}
        self._comments: dict[Path_, list[str]] = {}

    def put(self, path: str | Path_, value: Any, *comments: str) -> None:
        """Set a key, such as `status.state`; a tuple may have names with dots."""
        *tables, key = keys = tuple(path.split(".")) if isinstance(path, str) else path
        table = self._document
        for name in tables:
            table = table.setdefault(name, {})
        table[key] = value
        self._comments.setdefault(keys, []).extend(comments)

    def doubt(self, path: str, why: str) -> None:
        """Mark a key as not sure."""
        keys = tuple(path.split("."))
        self._comments.setdefault(keys, []).append(f"{CHECK} {why}")

    @property
    def params(self) -> list[str]:
        """The params that must be given."""
        return list(self._document.get("params", {}).get("required", ()))

    @property
    def doubts(self) -> int:
        """How many places are marked as not sure."""
        lines = [line for each in self._comments.values() for line in each]
        return sum(line.startswith(CHECK) for line in lines)

    def text(self, *head: str) -> str:
        """Return the recipe as TOML; `head` are its first comments."""
        begin = [f"#{line}" for line in map(_one_line, head)]
        return "\n".join([*begin, *self._lines((), self._document)]) + "\n"

    def _lines(self, path: Path_, table: dict[str, Any]) -> Iterator[str]:
        headed = {k for k, v in table.items() if _is_headed((*path, k), v)}
        for key, value in table.items():
            if key not in headed:
                yield from self._said((*path, key))
                yield f"{_key(key)} = {_value(value)}"
        for key in (key for key in table if key in headed):
            yield from self._table((*path, key), table[key])

    def _table(self, path: Path_, table: dict[str, Any]) -> Iterator[str]:
        if any(not _is_headed((*path, k), v) for k, v in table.items()):
            yield ""
            yield from self._said(path)
            yield f"[{'.'.join(map(_key, path))}]"
        yield from self._lines(path, table)

    def _said(self, path: Path_) -> Iterator[str]:
        yield from (f"# {_one_line(line)}" for line in self._comments.get(path, ()))


def check_loads(text: str) -> None:
    """Raise RecipeError if a recipe would not be loaded; its variables may be unset."""
    environ = dict.fromkeys(_VARIABLE.findall(text), "x")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "draft.toml"
        path.write_text(text, "utf-8")
        load_recipe(path, environ)


def variable(name: str, what: str) -> str:
    """Return the name of a variable, such as `TRANSCODER_URL`."""
    letters = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    begin = letters if letters[:1].isalpha() else f"SERVICE_{letters}".rstrip("_")
    return f"{begin}_{what}"


def _is_headed(path: Path_, value: Any) -> bool:
    return isinstance(value, dict) and bool(_HEADED.fullmatch("\0".join(path)))


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        pairs = (f"{_key(k)} = {_value(v)}" for k, v in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)


def _quoted(text: str) -> str:
    """A TOML string is a JSON string, but for DEL and for halves of a character."""
    whole = text.encode("utf-8", "replace").decode()
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")
