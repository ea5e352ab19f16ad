"""Asking for many jobs in one call: one job's bad item must not blind the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actors.json_input import brackets, is_too_deep
from actors.limits import MAX_HALVINGS, MAX_NESTING
from actors.recipes.format import Recipe
from actors.recipes.tables import BulkCall
from actors.recipes.template import Values
from actors.report import Report
from actors.status import Status

from . import BackendError, Handle
from .answers import Reader
from .asking import Asker, paced
from .client import Client
from .documents import document
from .failures import not_understood

Answers = list[Report | BackendError]
_ABOUT_ITS_CONTENT = ("unexpected_answer", "too_large")


async def ask_in_halves(
    ask: Callable[[Sequence[Handle]], Awaitable[Answers]], jobs: Sequence[Handle]
) -> Answers:
    """Ask for all; if the answer cannot be read, ask for each half, and so on.

    So only the job with the bad item is missed. A backend whose every answer is bad is
    not asked for ever: after MAX_HALVINGS the rest is missed as well.
    """
    answers: dict[str, Report | BackendError] = {}
    waiting, halvings_left = [list(jobs)], MAX_HALVINGS
    while waiting:
        some = waiting.pop()
        refs = [job.ref for job in some]
        try:
            answers.update(zip(refs, await ask(some), strict=True))
        except BackendError as error:
            is_divisible = error.code in _ABOUT_ITS_CONTENT and len(some) > 1
            if is_divisible and halvings_left:
                halvings_left -= 1
                middle = len(some) // 2
                waiting += [some[:middle], some[middle:]]
            else:
                answers.update(dict.fromkeys(refs, error))
    return [answers[job.ref] for job in jobs]


class Bulk:
    """Asks for many jobs by one call, and halves it if its answer cannot be read."""

    def __init__(
        self,
        recipe: Recipe,
        rule: BulkCall,
        client: Client,
        reader: Reader,
        asker: Asker,
        typed: Callable[[str], str | int],
    ) -> None:
        self._rule = rule
        self._result_call = recipe.result.call
        self._title = recipe.title
        self._client = client
        self._reader = reader
        self._asker = asker
        self._typed = typed

    async def reports(self, jobs: Sequence[Handle]) -> list[Report | BackendError]:
        """Ask for these jobs; answers in the order asked."""
        return await ask_in_halves(self._ask, jobs)

    async def _ask(self, jobs: Sequence[Handle]) -> list[Report | BackendError]:
        rule = self._rule
        refs = [self._typed(job.ref) for job in jobs]
        answer = await self._client.ask(rule, Values(refs=refs))
        if not rule.accepts(answer.status):
            raise self._reader.refusal(answer, rule, permanent=False)
        said = document(answer, is_bulk=True)
        if refusal := self._reader.refused(said, rule, permanent=False):
            raise refusal
        items = _pairs(rule, rule.items.find(said))
        if items is None:
            raise not_understood(self._title)
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
            return not_understood(self._title)
        try:
            if item is None:
                return self._reader.absent(job)
            return self._reader.one(item, job)
        except BackendError as error:
            return error
        except Exception as error:
            return not_understood(self._title, error)

    async def _with_results(
        self, reports: list[Report | BackendError], jobs: Sequence[Handle]
    ) -> list[Report | BackendError]:
        if self._result_call is None:
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


def _pairs(rule: BulkCall, items: Any) -> list[tuple[str, Any]] | None:
    """The items of a bulk answer by their jobs' names; None if it has none."""
    if rule.ref is None:
        return list(items.items()) if isinstance(items, dict) else None
    if not isinstance(items, list):
        return None
    return [(str(rule.ref.find(item)), item) for item in items]


def bulk(
    recipe: Recipe,
    client: Client,
    reader: Reader,
    asker: Asker,
    typed: Callable[[str], str | int],
) -> Bulk | None:
    """Return how to ask for many jobs, if the recipe says so."""
    if recipe.bulk is None:
        return None
    return Bulk(recipe, recipe.bulk, client, reader, asker, typed)
