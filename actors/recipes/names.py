"""Checks of names in a recipe: those of kept values, and those of several calls."""

from __future__ import annotations

import re
from collections.abc import Mapping

from actors.limits import MAX_KEPT

from .calls import NamedCall
from .expression import Expression
from .format import Recipe
from .tables import Login
from .template import nearest

_NAME = re.compile(r"[A-Za-z_][\w-]*")


def check_names(recipe: Recipe) -> None:
    """Raise ValueError, which names the key, for a name that leads nowhere."""
    _check_kept(recipe)
    _check_unless(recipe)
    _check_calls(recipe)
    if recipe.status.next and recipe.status.calls:
        raise ValueError("needs `request`, not `calls` - at `$.status.next`")


def check_login(recipe: Recipe) -> None:
    """Raise ValueError for a token that no login gives, or that stands in a path."""
    if recipe.login:
        _check_source(recipe.login)
    known = recipe.login.gives if recipe.login else []
    for table, call in recipe.calls.items():
        in_path = call.request.placeholders if call.request else []
        for each in call.placeholders:
            if each.root == "login" and each.name not in known:
                hint = nearest(each.name, known)
                raise ValueError(f"no login keeps {each.name!r} - at `$.{table}`{hint}")
            if each.root == "login" and each in in_path:
                where = "belongs into a header, the query or the body"
                raise ValueError(f"{each} {where} - at `$.{table}.request`")
    if recipe.login and recipe.login.placeholders:
        strange = recipe.login.placeholders[0]
        raise ValueError(f"{strange} is not known in this call - at `$.login`")


def check_list(recipe: Recipe) -> None:
    """Raise ValueError for a list that nobody asks for, or that cannot be read."""
    rule = recipe.list
    if rule is None:
        return
    if recipe.adopt is None and rule.mark is None:
        raise ValueError("needs `mark` here, or [adopt] - at `$.list`")
    if rule.mark and recipe.start.find:
        raise ValueError("needs this or `start.find`, not both - at `$.list.mark`")
    for name, call in rule.calls.items():
        _check_name(name, "list.calls")
        if call.keep:
            where = f"$.list.calls.{name}.keep"
            raise ValueError(f"needs a list of one call - at `{where}`")
    _check_begins_with_call(rule.items, rule.calls, "$.list.items")


def _check_source(login: Login) -> None:
    has_own = bool(login.keep or login.request or login.texts)
    if login.oauth2 and has_own:
        raise ValueError("needs no other call and no `keep` - at `$.login.oauth2`")
    if not login.oauth2 and not login.keep:
        raise ValueError("the key `keep` is missing, or `oauth2` - at `$.login`")


def _check_kept(recipe: Recipe) -> None:
    kept = recipe.keeps
    if len(kept) > MAX_KEPT:
        raise ValueError(f"more than {MAX_KEPT} values are kept - at `$`")
    for name in kept:
        _check_name(name, "keep")
    for table, call in recipe.calls.items():
        for name in call.names - kept.keys():
            hint = nearest(name, list(kept))
            raise ValueError(f"no call keeps {name!r} - at `$.{table}`{hint}")


def _check_unless(recipe: Recipe) -> None:
    for table, call in recipe.calls.items():
        for name in getattr(call, "unless", ()):
            if name not in recipe.keeps:
                hint = nearest(name, list(recipe.keeps))
                where = f"$.{table}.unless"
                raise ValueError(f"no call keeps {name!r} - at `{where}`{hint}")


def _check_calls(recipe: Recipe) -> None:
    """With several calls, each expression begins with the name of one."""
    calls = recipe.status.calls
    for name in calls:
        _check_name(name, "status.calls")
    for key, where in recipe.status.expressions.items():
        if where.text != "else":
            _check_begins_with_call(where, calls, f"$.status.{key}")


def _check_begins_with_call(
    where: Expression, calls: Mapping[str, NamedCall], place: str
) -> None:
    if calls and where.keys and where.keys[0] not in calls:
        hint = nearest(where.keys[0], list(calls))
        expected = f"must begin with the name of a call ({', '.join(calls)})"
        raise ValueError(f"{expected} - at `{place}`{hint}")


def _check_name(name: str, table: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} must be a name of letters and digits - at `$.{table}`"
        )
