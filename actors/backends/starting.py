"""Starts a job, once: a start whose answer is lost may be running over there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.limits import MAX_REF_CHARACTERS
from actors.recipes.format import Recipe
from actors.recipes.template import Values

from . import BackendError
from .answers import Reader, start_unknown
from .client import Client, HttpAnswer
from .documents import document
from .failures import LostAnswerError

_NOT_BEGUN = (408, 425, 429, 503)  # the service says that it has not begun


class Starter:
    """Starts the jobs of one service, as its recipe says.

    Unless the recipe says that a repeated start is safe, an error after which the job
    may be running is permanent, and is called `start_unknown`.
    """

    def __init__(self, recipe: Recipe, client: Client, reader: Reader) -> None:
        self._recipe = recipe
        self._call = recipe.start
        self._client = client
        self._reader = reader
        self._is_once = recipe.start.repeat == "never"

    async def start(self, job_id: str, params: Mapping[str, Any]) -> str:
        """Start a job and return its ref; raises BackendError."""
        values = Values(params=params, job=job_id)
        rule = self._recipe.start.ref
        ours = self._checked(rule.value.fill(values), values) if rule.value else None
        try:
            answer = await self._client.start(self._call, values, is_once=self._is_once)
        except LostAnswerError as error:
            if self._is_once:
                raise start_unknown(self._recipe.title) from error
            raise
        self._check(answer)
        return ours or self._checked(self._named(answer), values)

    def _check(self, answer: HttpAnswer) -> None:
        """Raise BackendError unless the answer says that the job was started."""
        if refusal := self._reader.refused_by(answer, self._call):
            raise refusal
        status = answer.status
        if self._call.accepts(status):
            return
        if self._is_once and status >= 500 and status not in _NOT_BEGUN:
            raise start_unknown(self._recipe.title)
        raise self._reader.refusal(answer, self._call, permanent=status < 500)

    def _checked(self, ref: Any, values: Values) -> str:
        """Return the name of the job as we keep it; raises BackendError."""
        if isinstance(ref, bool) or not isinstance(ref, str | int) or ref == "":
            raise self._reader.no_ref()
        name = str(ref)
        if self._recipe.start.ref.type == "number" and not name.isdecimal():
            raise self._reader.no_ref()
        if self._recipe.refs_are_addresses:
            name = self._client.own_path(self._call, values, name)
        if len(name) > MAX_REF_CHARACTERS or not self._can_be_sent(name, values):
            raise self._reader.no_ref()
        return name

    def _named(self, answer: HttpAnswer) -> Any:
        """The backend's own name for the job that it has just begun."""
        rule = self._recipe.start.ref
        if rule.header:
            return answer.headers.get(rule.header)
        where = rule.body or rule.link
        assert where  # the recipe has one of them
        try:
            return where.find(document(answer))
        except BackendError as error:  # it has begun, so it is not asked for again
            raise start_unknown(self._recipe.title) from error

    def _can_be_sent(self, ref: str, values: Values) -> bool:
        """True if each call can name the job so; a bad name would hurt its batch."""
        named = values._replace(ref=ref, refs=(ref,))
        try:
            for call in self._recipe.calls.values():
                call.fill(named)
        except ValueError:  # unfit, or a header's bytes that are not UTF-8
            return False
        return True
