"""Writes a recipe's short forms out, before its keys are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.requests import Action

_CALLS = ("start", "status", "bulk", *Action, "result")
_BODIES = ("json", "form", "text")


def prepared(document: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe with `[every]` and `[refused]` in each of its calls."""
    every = document.get("every", {})
    if not isinstance(every, dict):
        return document
    common = {"refused": document.get("refused", {}), **every}
    calls = {
        name: _in_full(merged(common, call))
        for name in _CALLS
        if isinstance(call := document.get(name), dict) and _is_call(name, call)
    }
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


def _is_call(name: str, call: Mapping[str, Any]) -> bool:
    """A result without a request is values out of the last answer."""
    return name != "result" or "request" in call


def _in_full(call: dict[str, Any]) -> dict[str, Any]:
    """`ref = "id"` is short for `ref = { body = "id" }`; a bulk's ref is not."""
    is_short = "items" not in call and isinstance(call.get("ref"), str)
    return {**call, "ref": {"body": call["ref"]}} if is_short else call
