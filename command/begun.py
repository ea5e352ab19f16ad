"""Makes a recipe out of the answers to the questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .draft import Draft, variable
from .questions import HEADER, LINK, QUESTIONS, words

_SAYS = {question.name: question.says for question in QUESTIONS}
_STATES = ("queued", "running", "paused", "succeeded", "failed", "cancelled")
_VALUES = ("percent", "fraction", "done", "total", "message", "error")


def begun(name: str, answers: Mapping[str, str]) -> Draft:
    """Return the recipe; `name` is that of its file, without `.toml`."""
    draft = Draft()
    draft.put("title", answers["title"])
    draft.put("url", address(name, answers["url"]), _SAYS["url"])
    authorize(draft, name, answers["auth"])
    _put_params(draft, answers)
    draft.put("start.request", answers["start"], _SAYS["start"])
    _put_body(draft, answers)
    draft.put("start.ref", _ref(answers["ref"]), "Where the answer has the job's id.")
    _put_status(draft, answers)
    for action in ("cancel", "pause", "resume", "result"):
        if answers[action]:
            draft.put(f"{action}.request", answers[action])
    return draft


def address(name: str, url: str) -> str:
    """Return an address that a variable can replace."""
    takes = "}" not in url
    return f"${{{variable(name, 'URL')}:-{url}}}" if takes else url


def authorize(draft: Draft, name: str, kind: str) -> None:
    """Have the requests carry a token, or a user and a password."""
    if kind == "basic":
        user, password = variable(name, "USER"), variable(name, "PASSWORD")
        pair = {"user": f"${{{user}}}", "password": f"${{{password}}}"}
        draft.put("basic", pair, f"Set {user} and {password}.")
    elif kind == "bearer":
        token = variable(name, "TOKEN")
        path = ("headers", "Authorization")
        draft.put(path, f"Bearer ${{{token}}}", f"Set {token}.")


def _put_params(draft: Draft, answers: Mapping[str, str]) -> None:
    names = _params(answers)
    if not names:
        return
    draft.put("params.required", list(names), "Take out those that may be left out.")
    for name, kind in names.items():
        path = ("params", "properties", name)
        draft.put((*path, "type"), kind)
        draft.put((*path, "title"), name.replace("_", " ").capitalize())


def _put_body(draft: Draft, answers: Mapping[str, str]) -> None:
    """All params are sent as JSON if nothing else is said, and none is in the path."""
    body = answers["body"]
    names = _params(answers)
    inside = [name for name in names if f"{{params.{name}" not in answers["start"]]
    fields: dict[str, Any] = {name: f"{{params.{name}}}" for name in inside}
    if fields and (body != "json" or len(inside) < len(names)):
        draft.put(f"start.{body}", fields)


def _put_status(draft: Draft, answers: Mapping[str, str]) -> None:
    draft.put("status.request", answers["status"], _SAYS["status"])
    draft.put("status.state", answers["state"], _SAYS["state"])
    for key in _VALUES:
        if answers[key]:
            draft.put(f"status.{key}", answers[key], _SAYS[key])
    for status in _STATES:
        if answers[status] or status == "failed":
            draft.put(f"status.states.{status}", words(answers[status]))


def _params(answers: Mapping[str, str]) -> dict[str, str]:
    pairs = (each.partition(":") for each in words(answers["params"]))
    return {name: kind or "string" for name, _, kind in pairs}


def _ref(answer: str) -> str | dict[str, str]:
    for begin, key in ((HEADER, "header"), (LINK, "link")):
        if answer.startswith(begin):
            return {key: answer.removeprefix(begin)}
    return answer
