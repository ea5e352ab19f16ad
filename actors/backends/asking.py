"""Asks how one job is: by one call, or by several that are sent at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from actors.recipes.calls import Every, NamedCall
from actors.recipes.format import Recipe
from actors.recipes.template import Values
from actors.status import Status

from . import BackendError, Handle, Report
from .answer import HttpAnswer
from .answers import Reader, Unknown
from .client import Client
from .documents import retry_after
from .facts import with_facts
from .failures import not_understood
from .found import find
from .sources import Keeper

logger = logging.getLogger(__name__)


class Asker:
    """Asks the status call, or calls, of one kind of service."""

    def __init__(
        self,
        recipe: Recipe,
        client: Client,
        reader: Reader,
        keeper: Keeper,
        values: Callable[[Handle], Values],
    ) -> None:
        self._rule = recipe.status
        self._title = recipe.title
        self._result = recipe.result
        self._client = client
        self._reader = reader
        self._keeper = keeper
        self._values = values
        self._is_plain = recipe.status.is_plain
        self._remembers = bool(recipe.status.keep or recipe.status.next)

    async def report(self, job: Handle) -> Report:
        """Ask for a job; raises BackendError."""
        if self._rule.calls:
            report = await self._by_many(job, self._values(job))
        else:
            report = await self._by_one(job)
        if self._result.call and report.status is Status.SUCCEEDED:
            return await self.with_result(report, job)
        return report

    async def with_result(self, report: Report, job: Handle) -> Report:
        """Ask for the result of a job that has succeeded.

        If the service refuses to give it, the job has succeeded all the same.
        """
        call = self._result.call
        assert call is not None
        answer = await self._client.ask(call, self._values(job))
        if refusal := self._reader.refused_by(answer, call) or self._not_given(answer):
            if not refusal.permanent:
                raise refusal
            logger.warning("%s gives no result: %s", self._title, refusal)
            return report
        said = with_facts(answer)
        found = {name: at.find(said) for name, at in self._result.values.items()}
        return replace(report, result=found)

    def _not_given(self, answer: HttpAnswer) -> BackendError | None:
        call = self._result.call
        assert call is not None
        if call.accepts(answer.status):
            return None
        return self._reader.refusal(answer, call, permanent=answer.status < 500)

    async def _by_one(self, job: Handle) -> Report:
        rule = self._rule
        if self._is_plain:
            assert rule.request is not None
            answer = await self._client.ask_plainly(rule.request, job.ref)
        else:
            answer = await self._client.ask(rule, self._values(job))
        report = self._reader.answered(answer, job)
        if self._remembers:
            report = self._remembering(report, answer, self._values(job))
        return paced(report, answer) if "Retry-After" in answer.headers else report

    def _remembering(
        self, report: Report, answer: HttpAnswer, values: Values
    ) -> Report:
        said = with_facts(answer)
        kept = self._keeper.kept(self._rule, values, answer, said)
        following = self._rule.next and find(self._rule.next, answer, said)
        ref = self._keeper.ref(self._rule, values, following)
        return replace(report, ref=ref, kept={**report.kept, **kept})

    async def _by_many(self, job: Handle, values: Values) -> Report:
        calls = {n: c for n, c in self._rule.calls.items() if c.is_due(values.keep)}
        if not calls:
            raise not_understood(self._title)
        asked = (self._asked(call, values) for call in calls.values())
        answers = dict(zip(calls, await asyncio.gather(*asked), strict=True))
        try:
            said = {n: self._said(n, calls[n], each) for n, each in answers.items()}
        except Unknown as unknown:
            return self._reader.absent(job, unknown.retry_after_s)
        report = self._reader.one(said, job)
        kept: dict[str, Any] = dict(report.kept)
        for name, answer in answers.items():
            if isinstance(answer, HttpAnswer) and said[name] is not None:
                kept |= self._keeper.kept(calls[name], values, answer, said[name])
            if isinstance(answer, HttpAnswer) and "Retry-After" in answer.headers:
                report = paced(report, answer)
        return replace(report, kept=kept)

    async def _asked(self, call: Every, values: Values) -> HttpAnswer | BackendError:
        """An error is returned, so that no other call is left behind."""
        try:
            return await self._client.ask(call, values)
        except BackendError as error:
            return error

    def _said(
        self, name: str, call: NamedCall, answer: HttpAnswer | BackendError
    ) -> Any:
        """Return what one of several calls has answered; None if it may fail."""
        try:
            if isinstance(answer, BackendError):
                raise answer
            return self._reader.said(answer, call, name)
        except (BackendError, Unknown):
            if call.optional:
                return None
            raise


def paced(report: Report, answer: HttpAnswer) -> Report:
    """Also a success may say how long to wait; of several answers the longest holds."""
    headers: Mapping[str, str] = answer.headers
    waits = report.retry_after_s, retry_after(headers["Retry-After"])
    known = [each for each in waits if each is not None]
    return replace(report, retry_after_s=max(known, default=None))
