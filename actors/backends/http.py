"""A backend that speaks HTTP and JSON, as its recipe says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from actors.json_input import brackets, is_too_deep
from actors.limits import MAX_NESTING
from actors.recipes.calls import Every, NamedCall
from actors.recipes.fences import whole_patterns
from actors.recipes.format import Recipe, params_schema
from actors.recipes.params import Params, ParamsError
from actors.recipes.parts import UnfitError
from actors.recipes.tables import BulkCall
from actors.recipes.template import Values
from actors.requests import Action
from actors.status import Status

from . import BackendError, Handle, Report, Started
from .answer import File, HttpAnswer
from .answers import Reader, not_understood
from .asking import Asker, paced
from .bulk import ask_in_halves
from .client import Client
from .documents import document
from .login import Shelf
from .sources import Keeper
from .starting import Starter

_ALREADY_OVER = (404, 409, 410)
# A message costs as much as some calls, so it polls many jobs. If there are more jobs,
# they are spread over more lanes, and so over more worker processes.
MIN_LANE_SIZE = 200
CALLS_A_BEAT = 5


class HttpBackend:
    """One third party, as its recipe describes it."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        poll_interval_ms: int,
        idle_interval_ms: int,
        on_answer: Callable[[HttpAnswer], None] | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        self.name = name
        self.title = recipe.title
        self.description = recipe.description
        self.params: Mapping[str, Any] = params_schema(recipe)
        self.can: tuple[str, ...] = tuple(recipe.action_calls)
        self.batch_size = recipe.bulk.batch_size if recipe.bulk else 1
        self.lane_size = max(CALLS_A_BEAT * self.batch_size, MIN_LANE_SIZE)
        self.poll_interval_ms = recipe.poll_interval_ms or poll_interval_ms
        self.idle_interval_ms = _idle_interval_ms(
            recipe, idle_interval_ms, self.poll_interval_ms
        )
        self.starts_once = recipe.start.is_once
        self.give_up_after_s = recipe.give_up_after_s
        self.deadline_s = recipe.deadline_s
        self.adopt_title = recipe.adopt.title if recipe.adopt else None
        self.most_active = recipe.most_active
        self.calls_per_minute = recipe.calls_per_minute
        self._recipe = recipe
        self._action_calls = recipe.action_calls
        self._params = Params(self.params, whole_patterns(recipe))
        self._client = Client(recipe, on_answer, shelf)
        self._reader = Reader(recipe)
        keeper = Keeper(self._client, recipe.addresses)
        self._asker = Asker(recipe, self._client, self._reader, keeper, self._values)
        self._starter = Starter(recipe, self._client, self._reader, keeper)
        self._has_numbers = recipe.start.ref.type == "number"

    @property
    def calls_made(self) -> int:
        """How many requests this process has sent."""
        return self._client.calls_made

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with defaults filled in; raises ParamsError.

        It also refuses a param that some call could not send.
        """
        checked = self._params.check(params)
        keep = dict.fromkeys(self._recipe.keeps, "/kept")
        values = Values("/ref", checked, "job", ("ref",), keep)
        try:
            for call in self._recipe.calls.values():
                call.fill(values)
        except UnfitError as error:
            raise ParamsError(str(error)) from error
        return checked

    def check_ref(self, ref: str) -> str:
        """Return the name of a job to adopt; raises ParamsError if it does not fit."""
        rule = self._recipe.adopt
        fits = rule and re.fullmatch(rule.pattern, ref)
        if not (fits and self._starter.can_name(ref)):
            title = rule.title if rule else "name"
            raise ParamsError(f"The {title} {ref[:80]!r} does not fit.")
        return ref

    async def start(self, job_id: str, params: Mapping[str, Any]) -> Started:
        """Start a job; its id is the Idempotency-Key."""
        return await self._starter.start(job_id, params)

    async def reports(self, jobs: Sequence[Handle]) -> list[Report | BackendError]:
        """Ask for up to `batch_size` jobs at once; answers in the order asked."""
        if self._recipe.bulk:
            return await ask_in_halves(partial(self._bulk, self._recipe.bulk), jobs)
        try:
            return [await self._asker.report(jobs[0])]
        except BackendError as error:
            return [error]

    async def send(self, action: Action, job: Handle) -> None:
        """Ask for an action; a job that is over already counts as cancelled.

        A permanent BackendError is a refusal.
        """
        table = self._action_calls.get(action)
        values = self._values(job)
        calls = [
            call
            for call in (table.each.values() if table else ())
            if not isinstance(call, NamedCall) or call.is_due(values.keep)
        ]
        if not calls:  # its recipe has lost it since, or it cannot be named yet
            raise BackendError(
                "refused", f"{self.title} cannot do this.", permanent=table is None
            )
        for call in calls:
            await self._send(action, call, job)

    async def _send(self, action: Action, call: Every, job: Handle) -> None:
        answer = await self._client.ask(call, self._values(job))
        if action is Action.CANCEL and answer.status in _ALREADY_OVER:
            if job.is_seen:
                return
            raise self._reader.refusal(answer, call, permanent=False)  # not there yet
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
        items = _pairs(rule, rule.items.find(said))
        if items is None:
            raise not_understood(self.title)
        by_ref = dict(items)
        may_be_deep = brackets(answer.body) - len(items) > MAX_NESTING
        found = [
            self._one_of_many(by_ref.get(job.ref), job, may_be_deep) for job in jobs
        ]
        reports = await self._with_results(found, jobs)
        if "Retry-After" not in answer.headers:
            return reports
        return [
            paced(each, answer) if isinstance(each, Report) else each
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

    async def _with_results(
        self, reports: list[Report | BackendError], jobs: Sequence[Handle]
    ) -> list[Report | BackendError]:
        if self._recipe.result.call is None:
            return reports
        return await asyncio.gather(*map(self._with_result, reports, jobs))

    async def _with_result(
        self, report: Report | BackendError, job: Handle
    ) -> Report | BackendError:
        if isinstance(report, BackendError) or report.status is not Status.SUCCEEDED:
            return report
        try:
            return await self._asker.with_result(report, job)
        except BackendError as error:
            return error

    def _values(self, job: Handle) -> Values:
        return Values(self._typed(job.ref), job.params, job.job_id, keep=job.kept)

    def _typed(self, ref: str) -> str | int:
        return int(ref) if self._has_numbers and ref.isdecimal() else ref


def _idle_interval_ms(recipe: Recipe, idle_ms: int, poll_ms: int) -> int:
    """A job is asked for twice in the time for which its service remembers it."""
    wanted_ms = recipe.idle_interval_ms or idle_ms
    if recipe.remembers_s:
        wanted_ms = min(wanted_ms, int(recipe.remembers_s * 500))
    return max(wanted_ms, poll_ms)


def _pairs(rule: BulkCall, items: Any) -> list[tuple[str, Any]] | None:
    """The items of a bulk answer by their jobs' names; None if it has none."""
    if rule.ref is None:
        return list(items.items()) if isinstance(items, dict) else None
    if not isinstance(items, list):
        return None
    return [(str(rule.ref.find(item)), item) for item in items]
