"""A backend that speaks HTTP and JSON, as its recipe says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from actors.json_input import brackets, is_too_deep
from actors.limits import MAX_NESTING
from actors.recipes.format import BulkCall, Recipe, RequestLine, params_schema
from actors.recipes.params import Params
from actors.requests import Action

from . import BackendError, Report
from .answers import Reader, document, not_understood
from .bulk import ask_in_halves
from .client import Client, File, HttpAnswer, quoted

_ALREADY_OVER = (404, 409, 410)
# A message costs as much as some calls, so it polls many jobs. If there are more jobs,
# they are spread over more lanes, and so over more worker processes.
MIN_LANE_SIZE = 200
CALLS_A_BEAT = 5


class HttpBackend:
    """One third party, as its recipe describes it."""

    def __init__(
        self, name: str, recipe: Recipe, poll_interval_ms: int, idle_interval_ms: int
    ) -> None:
        self.name = name
        self.title = recipe.title
        self.description = recipe.description
        self.params: Mapping[str, Any] = params_schema(recipe)
        self.can: tuple[str, ...] = tuple(recipe.action_calls)
        self.batch_size = recipe.bulk.batch_size if recipe.bulk else 1
        self.lane_size = max(CALLS_A_BEAT * self.batch_size, MIN_LANE_SIZE)
        self.poll_interval_ms = recipe.poll_interval_ms or poll_interval_ms
        self.idle_interval_ms = max(
            recipe.idle_interval_ms or idle_interval_ms, self.poll_interval_ms
        )
        self.give_up_after_s = recipe.give_up_after_s
        self._recipe = recipe
        self._action_calls = recipe.action_calls
        self._params = Params(self.params)
        self._client = Client(recipe)
        self._reader = Reader(recipe)

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with defaults filled in; raises ParamsError."""
        return self._params.check(params)

    async def start(self, job_id: str, params: Mapping[str, Any]) -> str:
        """Start a job and return its ref; the job's id is the Idempotency-Key."""
        request = self._recipe.start.request
        answer = await self._client.ask(
            request, json=params, headers={"Idempotency-Key": job_id}
        )
        if answer.status >= 400:
            raise self._reader.refusal(answer, permanent=answer.status < 500)
        ref = self._ref(answer)
        if self._recipe.refs_are_addresses:
            return self._client.own_path(request, ref)
        return ref

    async def reports(self, refs: Sequence[str]) -> list[Report | BackendError]:
        """Ask for up to `batch_size` jobs at once; answers in the order asked."""
        if self._recipe.bulk:
            return await ask_in_halves(partial(self._bulk, self._recipe.bulk), refs)
        try:
            return [await self._report(refs[0])]
        except BackendError as error:
            return [error]

    async def send(self, action: Action, ref: str) -> None:
        """Ask for an action; a job that is over already counts as cancelled.

        A permanent BackendError is a refusal.
        """
        if action not in self._action_calls:  # its recipe has lost it since
            raise BackendError(
                "refused", f"{self.title} cannot do this.", permanent=True
            )
        answer = await self._client.ask(self._action_calls[action], ref)
        if action is Action.CANCEL and answer.status in _ALREADY_OVER:
            return
        if answer.status >= 400:
            raise self._reader.refusal(answer, permanent=answer.status < 500)

    def result(self, ref: str) -> AbstractAsyncContextManager[File]:
        """Open the file that a job made; raises a BackendError."""
        rule = self._recipe.result
        if rule.request is None:
            raise BackendError("no_result", "This job makes no file.", permanent=True)
        return self._client.open(rule.request, ref, rule.content_type)

    async def close(self) -> None:
        """Close every connection to it."""
        await self._client.close()

    async def _report(self, ref: str) -> Report:
        rule = self._recipe.status
        answer = await self._client.ask(rule.request, ref)
        if answer.status < 300:
            return self._reader.report(document(answer))
        if answer.status in (404, 410) and answer.status in rule.final:
            raise self._reader.gone()
        raise self._reader.refusal(answer, permanent=answer.status in rule.final)

    async def _bulk(
        self, rule: BulkCall, refs: Sequence[str]
    ) -> list[Report | BackendError]:
        path = rule.request.path.replace("{refs}", ",".join(map(quoted, refs)))
        answer = await self._client.ask(RequestLine(f"{rule.request.method} {path}"))
        if answer.status >= 300:
            raise self._reader.refusal(answer, permanent=False)
        items = rule.items.find(document(answer, is_bulk=True))
        if not isinstance(items, list):
            raise not_understood(self.title)
        by_ref = {str(rule.ref.find(item)): item for item in items}
        may_be_deep = brackets(answer.body) - len(items) > MAX_NESTING
        return [self._one_of_many(by_ref.get(ref), may_be_deep) for ref in refs]

    def _one_of_many(self, item: Any, may_be_deep: bool) -> Report | BackendError:
        if item is None:
            return self._reader.gone()
        if may_be_deep and is_too_deep(item):  # this one alone, not its whole batch
            return not_understood(self.title)
        try:
            return self._reader.report(item)
        except BackendError as error:
            return error
        except Exception as error:
            return not_understood(self.title, error)

    def _ref(self, answer: HttpAnswer) -> str:
        """The backend's own name for the job that it has just begun."""
        rule = self._recipe.start.ref
        if rule.header:
            ref: Any = answer.headers.get(rule.header)
        else:
            assert rule.body  # the recipe has one of the two
            ref = rule.body.find(document(answer))
        if not isinstance(ref, str | int) or ref == "":
            raise self._reader.no_ref()
        return str(ref)
