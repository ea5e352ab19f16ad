"""Checks of a recipe that go beyond the types of its keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from yarl import URL

from actors.status import Status

from .calls import Every
from .fences import check_fences
from .format import Recipe, params_schema
from .names import check_list, check_login, check_names
from .states import ELSE, repeated
from .template import PLACEHOLDER, Placeholder, nearest
from .web_address import is_web_address, may_have_secret

_JOB = {"params", "ref", "ref/", "job", "keep", "login", "null"}
_BEFORE = {"params", "job", "login", "null"}
_KNOWN_IN = {
    "start": _BEFORE,
    "start.find": _BEFORE,
    "bulk": {"refs", "login", "null"},
    "list": {"login", "null"},
}
_NAMES_A_JOB = {"ref", "ref/", "refs", "job", "keep"}
_NEED_NO_NAME = ("start", "start.find", "bulk", "list")


def checked(recipe: Recipe) -> Recipe:
    """Return the recipe if it makes sense; raises ValueError, which names the key."""
    _check_addresses(recipe)
    _check_headers(recipe)
    _check_states(recipe)
    for name, call in recipe.calls.items():
        _check_placeholders(recipe, name, call)
    _check_ref(recipe)
    check_names(recipe)
    check_list(recipe)
    check_login(recipe)
    if recipe.pause or recipe.resume:
        _check_pause(recipe)
    schema = params_schema(recipe)
    Draft202012Validator.check_schema(schema)
    _check_patterns(recipe)
    _check_adoption(recipe)
    check_fences(recipe, schema)
    return recipe


def _check_addresses(recipe: Recipe) -> None:
    if not is_web_address(recipe.url):
        raise ValueError("must be an http or https address - at `$.url`")
    oauth2 = recipe.login and recipe.login.oauth2
    if oauth2 and not may_have_secret(oauth2.url):
        rule = "must be an https address, or on this machine, without a user"
        raise ValueError(f"{rule} - at `$.login.oauth2.url`")
    for number, address in enumerate(recipe.also_known_as):
        if not is_web_address(address):
            where = f"$.also_known_as[{number}]"
            raise ValueError(f"must be an http or https address - at `{where}`")


def _check_headers(recipe: Recipe) -> None:
    for name, value in recipe.headers.items():
        if not value.isprintable():
            raise ValueError(f"must be one line of text - at `$.headers.{name}`")
        if PLACEHOLDER.search(value):
            where = f"$.headers.{name}"
            raise ValueError(f"needs [every.headers] for a placeholder - at `{where}`")
    if recipe.basic and ":" in recipe.basic.user:
        raise ValueError("may not have a colon - at `$.basic.user`")
    has_user = URL(recipe.url).user is not None
    if has_user and (recipe.basic or "authorization" in map(str.lower, recipe.headers)):
        raise ValueError("has a user beside `basic` or Authorization - at `$.url`")
    if recipe.basic and "authorization" in map(str.lower, recipe.headers):
        raise ValueError("needs `basic` or this header - at `$.headers.Authorization`")


def _check_states(recipe: Recipe) -> None:
    rule = recipe.status
    if rule.state is None and not rule.when:
        raise ValueError("needs `state` or `when` - at `$.status`")
    if rule.state is None and (rule.words or rule.other):
        raise ValueError("needs `state`, where the words stand - at `$.status`")
    if not rule.can_say(Status.SUCCEEDED):
        raise ValueError("needs a word for succeeded - at `$.status.states`")
    if not rule.can_say(Status.FAILED) and Status.FAILED not in rule.states:
        hint = "; write [] if the service never says so"
        raise ValueError(f"needs a word for failed - at `$.status.states`{hint}")
    if repeated(word for word, _ in rule.words):
        raise ValueError("has the same word twice - at `$.status.states`")
    if sum(each.text == ELSE for each in rule.when.values()) + bool(rule.other) > 1:
        raise ValueError('has more than one "else" or `other` - at `$.status.when`')
    if rule.percent and rule.progress:
        raise ValueError("is another name for `percent` - at `$.status.progress`")


def _check_placeholders(recipe: Recipe, name: str, call: Every) -> None:
    found = call.placeholders
    table = name.partition(".calls.")[0]
    known = _KNOWN_IN.get(table, _JOB)
    if strange := next((each for each in found if each.root not in known), None):
        raise ValueError(f"{strange} is not known in this call - at `$.{name}`")
    for each in found:
        if each.root == "params":
            _check_param(recipe, each.name, f"$.{name}")
    in_path = call.request.placeholders if call.request else []
    for each in [*in_path, *(call.text.text.placeholders if call.text else [])]:
        if each.root == "params":
            _check_is_always_there(recipe, each, f"$.{name}")
    names_a_job = any(each.root in _NAMES_A_JOB for each in found)
    if not (names_a_job or table in _NEED_NO_NAME or recipe.start.ref.value):
        raise ValueError(f"needs {{ref}} in its path or body - at `$.{name}`")


def _check_param(recipe: Recipe, name: str, where: str) -> None:
    properties = _properties(recipe)
    if name not in properties:
        hint = nearest(name, list(properties))
        raise ValueError(f"there is no param {name!r} - at `{where}`{hint}")


def _check_patterns(recipe: Recipe) -> None:
    for name, rule in _properties(recipe).items():
        try:
            re.compile(rule.get("pattern", "") if isinstance(rule, dict) else "")
        except re.error as error:
            where = f"$.params.properties.{name}.pattern"
            raise ValueError(f"is not a regular expression - at `{where}`") from error


def _check_adoption(recipe: Recipe) -> None:
    if recipe.adopt is None:
        return
    try:
        re.compile(recipe.adopt.pattern)
    except re.error as error:
        raise ValueError(
            "is not a regular expression - at `$.adopt.pattern`"
        ) from error


def _check_is_always_there(recipe: Recipe, param: Placeholder, where: str) -> None:
    _check_param(recipe, param.name, where)
    rule = _properties(recipe)[param.name]
    has_default = isinstance(rule, dict) and "default" in rule
    if not has_default and param.name not in recipe.params.get("required", ()):
        raise ValueError(f"{param} must be required, or have a default - at `{where}`")


def _properties(recipe: Recipe) -> Mapping[str, Any]:
    properties = recipe.params.get("properties", {})
    return properties if isinstance(properties, dict) else {}


def _check_ref(recipe: Recipe) -> None:
    ref = recipe.start.ref
    for each in ref.value.text.placeholders if ref.value else ():
        if each.root not in _KNOWN_IN["start"]:
            raise ValueError(f"{each} is not known yet - at `$.start.ref.value`")
        if each.root == "params":
            _check_is_always_there(recipe, each, "$.start.ref.value")
    lines = [call.request for call in recipe.calls.values() if call.request]
    if ref.link and not any(each.takes_address for each in lines):
        raise ValueError("needs a path that begins with {ref} - at `$.status.request`")


def _check_pause(recipe: Recipe) -> None:
    if not recipe.status.can_say(Status.PAUSED):
        raise ValueError("needs a word for paused - at `$.status.states`")
    if not (recipe.pause and recipe.resume):
        missing = "resume" if recipe.pause else "pause"
        raise ValueError(f"needs both pause and resume - at `$.{missing}`")
