"""Writes a recipe's short forms out, before its keys are checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from actors.requests import Action

from .template import ROOTS

_CALLS = ("start", "status", "bulk", "list", *Action, "result")
# There `ref` is where an item has the name, and no short form.
_OF_MANY = ("bulk", "list")
_BODIES = ("json", "form", "multipart", "text")
# Calls inside the table of another call.
_INNER = {"start": ("find", "then"), "result": ("call",)}
_KEPT = re.compile(r"\{([\w-]+)((?:!\w+)?)\}")


def prepared(document: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe with `[every]` and `[refused]` in each of its calls."""
    every = document.get("every", {})
    if not isinstance(every, dict):
        return document
    common = {"refused": document.get("refused", {}), **every}
    calls = {
        name: _with_common(common, name, call)
        for name in _CALLS
        if isinstance(call := document.get(name), dict)
    }
    names = frozenset(_kept_names(calls))
    calls = _renamed(calls, names)
    if isinstance(login := document.get("login"), dict):
        calls["login"] = _in_full(login)
    # A mistake in `[every]` is found there, and not in each of the calls.
    return {"every": every, **document, **calls}


def merged(base: Mapping[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    """Return `call` with all that `base` has beside it; another kind of body goes."""
    own = [body for body in _BODIES if body in call]
    kept = {k: v for k, v in base.items() if not own or k in own or k not in _BODIES}
    return _merged(kept, call)


def _merged(base: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(base[key], value)
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in ours.items()
    }
    return {**base, **both}


def _with_common(
    common: Mapping[str, Any], name: str, table: dict[str, Any]
) -> dict[str, Any]:
    """Put `common` into a table that is a call, and into each call in the table."""
    inner: dict[str, Any] = {
        key: _with_common(common, key, call)
        for key in _INNER.get(name, ())
        if isinstance(call := table.get(key), dict)
    }
    if isinstance(calls := table.get("calls"), dict):
        inner["calls"] = {
            key: _in_full(merged(common, call)) if isinstance(call, dict) else call
            for key, call in calls.items()
        }
    table = {**table, **inner}
    is_call = "calls" not in table and (name != "result" or "request" in table)
    whole = merged(common, table) if is_call else table
    return _in_full(whole, () if name in _OF_MANY else ("ref", "next"))


def _in_full(
    call: dict[str, Any], sources: Sequence[str] = ("ref", "next")
) -> dict[str, Any]:
    """`ref = "id"` is short for `ref = { body = "id" }`."""
    short: dict[str, Any] = {
        key: {"body": call[key]} for key in sources if isinstance(call.get(key), str)
    }
    if isinstance(keep := call.get("keep"), dict):
        short["keep"] = {
            name: {"body": where} if isinstance(where, str) else where
            for name, where in keep.items()
        }
    if isinstance(call.get("unless"), str):
        short["unless"] = [call["unless"]]
    return {**call, **short}


def _kept_names(value: Any) -> Iterator[str]:
    """The names below every `keep`, but those that stand for something already."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "keep" and isinstance(each, dict):
                yield from (name for name in each if name not in ROOTS)
            yield from _kept_names(each)


def _renamed(value: Any, names: frozenset[str]) -> Any:
    """`{number}` is short for `{keep.number}` if there is a kept value of this name."""
    if isinstance(value, dict):
        return {key: _renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    if not isinstance(value, str) or not names:
        return value
    return _KEPT.sub(
        lambda m: f"{{keep.{m[1]}{m[2]}}}" if m[1] in names else m[0], value
    )
