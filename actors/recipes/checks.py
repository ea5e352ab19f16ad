"""Checks of a recipe that go beyond the types of its keys."""

from __future__ import annotations

from jsonschema import Draft202012Validator
from yarl import URL

from actors.status import Status

from .format import Recipe, params_schema


def checked(recipe: Recipe) -> Recipe:
    """Return the recipe if it makes sense; raises ValueError, which names the key."""
    if not _is_web_address(recipe.url):
        raise ValueError("must be an http or https address - at `$.url`")
    for name, value in recipe.headers.items():
        if not value.isprintable():
            raise ValueError(f"must be one line of text - at `$.headers.{name}`")
    for status in (Status.SUCCEEDED, Status.FAILED):
        if not recipe.status.states.get(status):
            raise ValueError(f"needs a word for {status} - at `$.status.states`")
    if len(recipe.status.statuses) < sum(map(len, recipe.status.states.values())):
        raise ValueError("has the same word twice - at `$.status.states`")
    if "{ref}" not in recipe.status.request.path:
        raise ValueError("needs {ref} in its path - at `$.status.request`")
    if recipe.bulk and "{refs}" not in recipe.bulk.request.path:
        raise ValueError("needs {refs} in its path - at `$.bulk.request`")
    for action, line in recipe.action_calls.items():
        if "{ref}" not in line.path:
            raise ValueError(f"needs {{ref}} in its path - at `$.{action}.request`")
    if recipe.pause or recipe.resume:
        _check_pause(recipe)
    Draft202012Validator.check_schema(params_schema(recipe))
    return recipe


def _check_pause(recipe: Recipe) -> None:
    if not recipe.status.states.get(Status.PAUSED):
        raise ValueError("needs a word for paused - at `$.status.states`")
    if not (recipe.pause and recipe.resume):
        missing = "resume" if recipe.pause else "pause"
        raise ValueError(f"needs both pause and resume - at `$.{missing}`")


def _is_web_address(text: str) -> bool:
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.host)
