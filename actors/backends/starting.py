"""Starts a job, once: a start whose answer is lost may be running over there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.limits import MAX_REF_CHARACTERS
from actors.recipes.calls import Call, Source
from actors.recipes.expression import Expression
from actors.recipes.format import Recipe
from actors.recipes.tables import Find, Reference
from actors.recipes.template import Values
from actors.report import NOTHING

from . import BackendError, Started
from .addresses import path_of
from .answer import HttpAnswer
from .answers import Reader
from .client import Client
from .facts import Facts, with_facts
from .failures import LostAnswerError, as_lost, no_ref, start_unknown
from .found import find as source
from .listing import Lister
from .sources import Keeper

_OVER = ("start", "start.find", "start.then")  # before a job has its name
_NO_ANSWER = HttpAnswer(200, NOTHING, b"")  # values of a list are kept of its items


class Starter:
    """Starts the jobs of one service, as its recipe says.

    Unless the recipe says that a repeated start is safe, an error after which the job
    may be running is permanent, and is called `start_unknown`.
    """

    def __init__(
        self,
        recipe: Recipe,
        client: Client,
        reader: Reader,
        keeper: Keeper,
        lister: Lister | None,
    ) -> None:
        self._recipe = recipe
        self._call = recipe.start
        self._client = client
        self._reader = reader
        self._keeper = keeper
        self._has_addresses = "ref" in recipe.addresses
        self._is_once = recipe.starts_once
        self._list = recipe.list if recipe.list and recipe.list.mark else None
        self._lister = lister

    async def start(self, job_id: str, params: Mapping[str, Any]) -> Started:
        """Start a job, unless it is found to be there; raises BackendError."""
        values = Values(params=params, job=job_id)
        if found := await self._found_before(values):
            return await self._go_on(values, found)
        rule = self._call.ref
        ours = self._checked(rule.value.fill(values), values) if rule.value else None
        answer = await self._sent(self._call, values)
        said, kept = self._read(self._call, rule, values, answer)
        ref = ours or self._checked(self._named(rule, answer, said), values, kept)
        return await self._begun(values, Started(ref, kept))

    def can_name(self, ref: str) -> bool:
        """True if the calls about a job can name it so, if it was started elsewhere."""
        number = self._call.ref.type == "number"
        if len(ref) > MAX_REF_CHARACTERS or (number and not ref.isdecimal()):
            return False
        if self._has_addresses and path_of(ref) != ref:
            return False
        return self._can_be_sent(ref, Values(job="job"), NOTHING)

    async def _found_before(self, values: Values) -> Started | None:
        """The same before a start, which no answer that is lost now can be about."""
        try:
            return await self.found(values)
        except LostAnswerError as error:
            raise BackendError(error.code, error.message) from error

    async def found(self, values: Values) -> Started | None:
        """Return the job with our mark, if an earlier start has begun it."""
        if self._call.find:
            return await self._asked_for(self._call.find, values)
        if not (self._list and self._lister):
            return None
        item = await self._lister.marked(values.job)
        if item is None:
            return None
        kept = self._keeper.kept(self._list, values, _NO_ANSWER, item.value)
        return Started(self._checked(item.ref, values, kept), kept)

    async def _asked_for(self, find: Find, values: Values) -> Started | None:
        answer = await self._client.ask(find, values)
        if not find.accepts(answer.status):
            raise self._reader.refusal(answer, find, permanent=False)
        said = with_facts(answer)
        ref = source(find.ref, answer, said)
        if ref is None:
            return None
        kept = self._keeper.kept(find, values, answer, said)
        return Started(self._checked(ref, values, kept), kept)

    async def _begun(self, values: Values, begun: Started) -> Started:
        """Go on after our own start, which is not to be sent again from here on."""
        try:
            return await self._go_on(values, begun)
        except BackendError as error:
            if error.permanent or not self._is_once:
                raise
            raise start_unknown(self._recipe.title) from error

    async def _go_on(self, values: Values, begun: Started) -> Started:
        """Send the second call of a start, if there is one."""
        then = self._call.then
        if then is None:
            return begun
        values = values._replace(ref=begun.ref, keep=begun.kept)
        answer = await self._sent(then, values)
        said, found = self._read(then, then.ref, values, answer)
        kept = {**begun.kept, **found}
        if then.ref is None:
            return Started(begun.ref, kept)
        return Started(
            self._checked(source(then.ref, answer, said), values, kept), kept
        )

    async def _sent(self, call: Call, values: Values) -> HttpAnswer:
        try:
            answer = await self._client.start(call, values, is_once=self._is_once)
        except LostAnswerError as error:
            if self._is_once:
                raise start_unknown(self._recipe.title) from error
            raise
        self._check(answer, call)
        return answer

    def _read(
        self, call: Call, ref: Source | None, values: Values, answer: HttpAnswer
    ) -> tuple[Any, dict[str, Any]]:
        """Return what the service has said, and what is kept of it.

        The job has begun, so no error here lets the start be sent again.
        """
        sources = [*call.keep.values(), *([ref] if ref else [])]
        try:
            said = self._said(answer, [each.where for each in sources if each.where])
            return said, self._keeper.kept(call, values, answer, said)
        except BackendError as error:
            if error.permanent:
                raise
            raise start_unknown(self._recipe.title) from error

    def _said(self, answer: HttpAnswer, places: list[Expression]) -> Any:
        """Return the answer as these expressions read it."""
        if not places:
            return None
        return Facts(each.text for each in places).document(answer)

    def _check(self, answer: HttpAnswer, call: Call) -> None:
        """Raise BackendError unless the answer says that the job was started."""
        if refusal := self._reader.refused_by(answer, call):
            raise refusal
        status = answer.status
        if call.accepts(status):
            return
        may_run = status >= 500 and not _says_later(answer)
        if self._is_once and may_run:
            raise start_unknown(self._recipe.title)
        refusal = self._reader.refusal(answer, call, permanent=status < 500)
        raise as_lost(refusal) if may_run else refusal

    def _checked(
        self, ref: Any, values: Values, kept: Mapping[str, Any] = NOTHING
    ) -> str:
        """Return the name of the job as we keep it; raises BackendError."""
        if isinstance(ref, bool) or not isinstance(ref, str | int) or ref == "":
            raise no_ref(self._recipe.title)
        name = str(ref)
        if self._recipe.start.ref.type == "number" and not name.isdecimal():
            raise no_ref(self._recipe.title)
        if self._has_addresses:
            name = self._client.own_path(self._call, values, name)
        if len(name) > MAX_REF_CHARACTERS or not self._can_be_sent(name, values, kept):
            raise no_ref(self._recipe.title)
        return name

    def _named(self, rule: Reference, answer: HttpAnswer, said: Any) -> Any:
        """The backend's own name for the job that it has just begun."""
        return None if rule.value else source(rule, answer, said)

    def _can_be_sent(self, ref: str, values: Values, kept: Mapping[str, Any]) -> bool:
        """True if each call can name the job so; a bad name would hurt its batch."""
        named = values._replace(ref=ref, refs=(ref,), keep=kept)
        try:
            for name, call in self._recipe.calls.items():
                if name not in _OVER and call.names <= kept.keys():
                    call.fill(named)
        except ValueError:  # unfit, or a header's bytes that are not UTF-8
            return False
        return True


def _says_later(answer: HttpAnswer) -> bool:
    """True if a service that is busy says when to come back, so it has not begun.

    A 503 alone may be a proxy's that has passed the start on and lost the answer.
    """
    return answer.status == 503 and "Retry-After" in answer.headers
