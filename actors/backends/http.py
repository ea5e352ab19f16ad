"""A backend that speaks HTTP and JSON, as its recipe says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from msgspec.structs import replace

from actors.limits import MAX_REF_CHARACTERS
from actors.recipes.calls import Every, NamedCall
from actors.recipes.fences import whole_patterns
from actors.recipes.format import Recipe, params_schema
from actors.recipes.params import Params, ParamsError
from actors.recipes.parts import UnfitError
from actors.recipes.template import Values
from actors.requests import Action

from . import Adoptable, BackendError, Handle, Report, Started
from .answer import File, HttpAnswer
from .answers import Reader
from .asking import Asker
from .bulk import bulk
from .client import Client
from .failures import no_result
from .listing import lister
from .shelves import Shelf
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
        self.starts_once = recipe.starts_once
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
        self._bulk = bulk(recipe, self._client, self._reader, self._asker, self._typed)
        parts = recipe, self._client, self._reader
        self._lister = lister(*parts)
        self._starter = Starter(*parts, keeper, self._lister)
        self._stops_only_in = recipe.cancel.only if recipe.cancel else ()
        self._has_numbers = recipe.start.ref.type == "number"

    @property
    def calls_made(self) -> int:
        """How many requests this process has sent."""
        return self._client.calls_made

    @property
    def lists(self) -> bool:
        """True if it can say which jobs may be adopted."""
        return bool(self._recipe.adopt and self._recipe.list)

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
        is_short = len(ref) <= MAX_REF_CHARACTERS  # a pattern may be slow
        fits = rule and is_short and re.fullmatch(rule.pattern, ref)
        if not (fits and self._starter.can_name(ref)):
            title = rule.title if rule else "name"
            raise ParamsError(f"The {title} {ref[:80]!r} does not fit.")
        return ref

    async def adoptable(self) -> list[Adoptable]:
        """Return the jobs there that may be adopted; raises BackendError."""
        if not (self.lists and self._lister):
            raise BackendError("refused", f"{self.title} lists no jobs.")
        return await self._lister.adoptable(self.check_ref)

    async def found_again(self, job_id: str) -> str | None:
        """Return the name of the job that has our mark; raises BackendError."""
        found = await self._starter.found(Values(job=job_id))
        return found.ref if found else None

    async def start(self, job_id: str, params: Mapping[str, Any]) -> Started:
        """Start a job; its id is the Idempotency-Key."""
        return await self._starter.start(job_id, params)

    async def reports(self, jobs: Sequence[Handle]) -> list[Report | BackendError]:
        """Ask for up to `batch_size` jobs at once; answers in the order asked."""
        if self._bulk:
            answers = await self._bulk.reports(jobs)
        else:
            answers = [await self._one(jobs[0])]
        return list(map(self._with_can, answers)) if self._stops_only_in else answers

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
            raise no_result()
        return self._client.open(rule, self._values(job), rule.content_type)

    async def close(self) -> None:
        """Close every connection to it."""
        await self._client.close()

    async def _one(self, job: Handle) -> Report | BackendError:
        try:
            return await self._asker.report(job)
        except BackendError as error:
            return error

    def _with_can(self, answer: Report | BackendError) -> Report | BackendError:
        """A stop that works only for a while is only offered for so long."""
        if isinstance(answer, BackendError):
            return answer
        works = answer.status in self._stops_only_in
        can = [each for each in self.can if works or each != Action.CANCEL]
        return replace(answer, can=tuple(can))

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
