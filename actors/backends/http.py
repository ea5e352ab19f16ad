"""A backend that speaks HTTP and JSON, as its recipe says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from actors.recipes.format import BulkCall, Recipe, RequestLine, params_schema
from actors.recipes.params import Params

from . import BackendError, Report
from .answers import Reader, document
from .client import Answer, File, Service, quoted

_ALREADY_OVER = (404, 409, 410)
# A message costs as much as some calls, so it polls many jobs; more jobs than fill it
# are spread over more lanes, and so over more worker processes.
LEAST_LANE_SIZE = 200
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
        self.can: tuple[str, ...] = ("cancel",) if recipe.cancel else ()
        self.batch_size = recipe.bulk.batch_size if recipe.bulk else 1
        self.lane_size = max(CALLS_A_BEAT * self.batch_size, LEAST_LANE_SIZE)
        self.poll_interval_ms = recipe.poll_interval_ms or poll_interval_ms
        self.idle_interval_ms = max(
            recipe.idle_interval_ms or idle_interval_ms, self.poll_interval_ms
        )
        self.give_up_after_s = recipe.give_up_after_s
        self._recipe = recipe
        self._params = Params(self.params)
        self._service = Service(recipe)
        self._reader = Reader(recipe)

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with defaults filled in; raises ParamsError."""
        return self._params.check(params)

    async def start(self, job: str, params: Mapping[str, Any]) -> str:
        """Start `job` and return its ref; the job's id is the Idempotency-Key."""
        request = self._recipe.start.request
        answer = await self._service.ask(
            request, json=params, headers={"Idempotency-Key": job}
        )
        if answer.status >= 400:
            raise self._reader.refusal(answer, permanent=answer.status < 500)
        ref = self._ref(answer)
        if self._recipe.refs_are_addresses:
            return self._service.own_path(request, ref)
        return ref

    async def reports(self, refs: Sequence[str]) -> list[Report | BackendError]:
        """Ask for up to `batch_size` jobs at once; answers in the order asked."""
        try:
            if self._recipe.bulk:
                return await self._bulk_reports(self._recipe.bulk, refs)
            return [await self._report(refs[0])]
        except BackendError as error:
            return [error] * len(refs)

    async def cancel(self, ref: str) -> None:
        """Ask for a job to be stopped; one that is over already counts as asked."""
        assert self._recipe.cancel  # `can` says so
        answer = await self._service.ask(self._recipe.cancel.request, ref)
        if answer.status >= 400 and answer.status not in _ALREADY_OVER:
            raise self._reader.refusal(answer, permanent=False)

    def result(self, ref: str) -> AbstractAsyncContextManager[File]:
        """Open the file that a job made; raises a BackendError."""
        rule = self._recipe.result
        if rule.request is None:
            raise BackendError("no_result", "This job makes no file.", permanent=True)
        return self._service.open(rule.request, ref, rule.content_type)

    async def close(self) -> None:
        """Close every connection to it."""
        await self._service.close()

    async def _report(self, ref: str) -> Report:
        rule = self._recipe.status
        answer = await self._service.ask(rule.request, ref)
        if answer.status < 300:
            return self._reader.report(document(answer))
        if answer.status in (404, 410) and answer.status in rule.final:
            raise self._reader.gone()
        raise self._reader.refusal(answer, permanent=answer.status in rule.final)

    async def _bulk_reports(
        self, rule: BulkCall, refs: Sequence[str]
    ) -> list[Report | BackendError]:
        path = rule.request.path.replace("{refs}", ",".join(map(quoted, refs)))
        answer = await self._service.ask(RequestLine(f"{rule.request.method} {path}"))
        if answer.status >= 300:
            raise self._reader.refusal(answer, permanent=False)
        items = rule.items.find(document(answer))
        if not isinstance(items, list):
            raise self._reader.not_understood()
        by_ref = {str(rule.ref.find(item)): item for item in items}
        return [self._one_of_many(by_ref.get(ref)) for ref in refs]

    def _one_of_many(self, item: Any) -> Report | BackendError:
        if item is None:
            return self._reader.gone()
        try:
            return self._reader.report(item)
        except BackendError as error:
            return error

    def _ref(self, answer: Answer) -> str:
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
