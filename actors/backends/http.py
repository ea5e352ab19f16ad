"""A backend that speaks HTTP and JSON, as its recipe says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from msgspec.structs import replace

from actors.json_input import brackets, is_too_deep
from actors.limits import MAX_NESTING
from actors.recipes.calls import BulkCall
from actors.recipes.fences import whole_patterns
from actors.recipes.format import Recipe, params_schema
from actors.recipes.params import Params, ParamsError
from actors.recipes.parts import UnfitError
from actors.recipes.template import Values
from actors.requests import Action

from . import BackendError, Handle, Report
from .answers import Reader, not_understood
from .bulk import ask_in_halves
from .client import Client, File, HttpAnswer
from .documents import document, retry_after
from .starting import Starter

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
        self.starts_once = recipe.start.repeat == "never"
        self.give_up_after_s = recipe.give_up_after_s
        self._recipe = recipe
        self._action_calls = recipe.action_calls
        self._params = Params(self.params, whole_patterns(recipe))
        self._client = Client(recipe)
        self._reader = Reader(recipe)
        self._starter = Starter(recipe, self._client, self._reader)
        self._is_plain = recipe.status.is_plain
        self._has_numbers = recipe.start.ref.type == "number"

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with defaults filled in; raises ParamsError.

        It also refuses a param that some call could not send.
        """
        checked = self._params.check(params)
        values = Values("/ref", checked, "job", ("ref",))
        try:
            for call in self._recipe.calls.values():
                call.fill(values)
        except UnfitError as error:
            raise ParamsError(str(error)) from error
        return checked

    async def start(self, job_id: str, params: Mapping[str, Any]) -> str:
        """Start a job and return its ref; the job's id is the Idempotency-Key."""
        return await self._starter.start(job_id, params)

    async def reports(self, jobs: Sequence[Handle]) -> list[Report | BackendError]:
        """Ask for up to `batch_size` jobs at once; answers in the order asked."""
        if self._recipe.bulk:
            return await ask_in_halves(partial(self._bulk, self._recipe.bulk), jobs)
        try:
            return [await self._report(jobs[0])]
        except BackendError as error:
            return [error]

    async def send(self, action: Action, job: Handle) -> None:
        """Ask for an action; a job that is over already counts as cancelled.

        A permanent BackendError is a refusal.
        """
        call = self._action_calls.get(action)
        if call is None:  # its recipe has lost it since
            raise BackendError(
                "refused", f"{self.title} cannot do this.", permanent=True
            )
        answer = await self._client.ask(call, self._values(job))
        if action is Action.CANCEL and answer.status in _ALREADY_OVER:
            return
        if refusal := self._reader.refused_by(answer, call):
            raise refusal
        if not call.accepts(answer.status):
            raise self._reader.refusal(answer, call, permanent=answer.status < 500)

    def result(self, job: Handle) -> AbstractAsyncContextManager[File]:
        """Open the file that a job made; raises a BackendError."""
        rule = self._recipe.result
        if rule.request is None:
            raise BackendError("no_result", "This job makes no file.", permanent=True)
        return self._client.open(rule, self._values(job), rule.content_type)

    async def close(self) -> None:
        """Close every connection to it."""
        await self._client.close()

    async def _report(self, job: Handle) -> Report:
        call = self._recipe.status
        if self._is_plain:
            answer = await self._client.ask_plainly(call.request, job.ref)
        else:
            answer = await self._client.ask(call, self._values(job))
        report = self._reader.answered(answer, job)
        return _paced(report, answer) if "Retry-After" in answer.headers else report

    async def _bulk(
        self, rule: BulkCall, jobs: Sequence[Handle]
    ) -> list[Report | BackendError]:
        refs = [self._typed(job.ref) for job in jobs]
        answer = await self._client.ask(rule, Values(refs=refs))
        if not rule.accepts(answer.status):
            raise self._reader.refusal(answer, rule, permanent=False)
        said = document(answer, is_bulk=True)
        if refusal := self._reader.refused(said, rule, permanent=False):
            raise refusal
        items = rule.items.find(said)
        if not isinstance(items, list):
            raise not_understood(self.title)
        by_ref = {str(rule.ref.find(item)): item for item in items}
        may_be_deep = brackets(answer.body) - len(items) > MAX_NESTING
        reports = [
            self._one_of_many(by_ref.get(job.ref), job, may_be_deep) for job in jobs
        ]
        if "Retry-After" not in answer.headers:
            return reports
        return [
            _paced(each, answer) if isinstance(each, Report) else each
            for each in reports
        ]

    def _one_of_many(
        self, item: Any, job: Handle, may_be_deep: bool
    ) -> Report | BackendError:
        if may_be_deep and is_too_deep(item):  # this one alone, not its whole batch
            return not_understood(self.title)
        try:
            if item is None:
                return self._reader.absent(job)
            return self._reader.one(item, job)
        except BackendError as error:
            return error
        except Exception as error:
            return not_understood(self.title, error)

    def _values(self, job: Handle) -> Values:
        return Values(self._typed(job.ref), job.params, job.job_id)

    def _typed(self, ref: str) -> str | int:
        return int(ref) if self._has_numbers and ref.isdecimal() else ref


def _paced(report: Report, answer: HttpAnswer) -> Report:
    """Also a success may say how long to wait for the next question."""
    return replace(report, retry_after_s=retry_after(answer.headers["Retry-After"]))
