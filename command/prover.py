"""Proves a recipe: takes jobs through their lives at the running service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from actors.backends import AbsentError, BackendError, Handle, Report
from actors.backends.answer import HttpAnswer
from actors.backends.http import HttpBackend
from actors.clock import now_ms, timestamp
from actors.recipes.format import Recipe
from actors.requests import Action
from actors.status import Status

from .findings import Finding, Heard, findings, shown
from .obeying import AGAIN_S, PATIENCE_S, WANTED, NotObeyedError, has_ended
from .output import Output

INTERVAL_MS = 200
NOBODY = "progrock-knows-no-such-job"


class Prover:
    """Runs the lives of jobs at one service, and notes what is said on the way."""

    def __init__(
        self, name: str, recipe: Recipe, params: dict[str, Any], output: Output
    ) -> None:
        self._recipe = recipe
        self._output = output
        self._raw = b""
        self._heard: list[Heard] = []
        self._found: list[Finding] = []
        self._backend = HttpBackend(
            name, recipe, INTERVAL_MS, INTERVAL_MS, self._note_answer
        )
        self._params = self._backend.check(params)

    async def run(self, *, only_watch: bool, timeout_s: float) -> list[Finding]:
        """Return all that was found, what fails first."""
        try:
            if self._backend.can and not only_watch:
                await self._life("A job is started and stopped.", self._stop, timeout_s)
            await self._life("A job is watched to its end.", self._end, timeout_s)
        finally:
            await self._backend.close()
        found = [*self._found, *findings(self._recipe, self._heard)]
        return sorted(found, key=lambda each: each.holds is not False)

    async def _life(self, title: str, goes_on: Any, timeout_s: float) -> None:
        with self._output.watching(title) as self._bar:
            job = await self._start()
            if job is None:
                return
            try:
                async with asyncio.timeout(timeout_s):
                    await goes_on(job)
            except TimeoutError:
                seen = f"not within {timeout_s:g} s; the last was: {shown(self._raw)}"
                self._finds("the job ends", False, seen)

    async def _start(self) -> Handle | None:
        job_id = f"progrock-check-{now_ms()}"
        try:
            begun = await self._backend.start(job_id, self._params)
        except BackendError as error:
            seen = f"{error} It was: {shown(self._raw)}"
            self._finds("start: a job begins, and has a name", False, seen)
            return None
        self._finds("start: a job begins, and has a name", True, begun.ref)
        await self._check_list(job_id, begun.ref)
        started_at = timestamp(now_ms())
        return Handle(
            begun.ref, job_id, self._params, started_at, kept=begun.kept, is_seen=False
        )

    async def _check_list(self, job_id: str, ref: str) -> None:
        """Look for the new job in the list of all."""
        rule = self._recipe.list
        try:
            if rule and rule.mark:
                found = await self._backend.found_again(job_id)
                seen = found or shown(self._raw)
                self._finds("list.mark: the new job is found", found == ref, seen)
            if self._backend.lists:
                refs = [each.ref for each in await self._backend.adoptable()]
                holds = ref in refs or None  # it may be listed only when it runs
                self._finds("list: the new job is in it", holds, f"{len(refs)} jobs")
        except BackendError as error:
            seen = f"{error} It was: {shown(self._raw)}"
            self._finds("list: it can be read", False, seen)

    async def _stop(self, job: Handle) -> None:
        job, report = await self._until(job, self._can_be_asked)
        for action in (Action.PAUSE, Action.RESUME, Action.CANCEL):
            if action in self._can(report):
                job, report = await self._ask(action, job, report)
        if not has_ended(report):
            await self._until(job, has_ended)

    def _can_be_asked(self, report: Report | None) -> bool:
        """A job that runs, or one whose stop works only while it does not run."""
        if report is None or report.status.terminal:
            return True
        is_waited_for = report.status is Status.RUNNING or report.can is not None
        return is_waited_for and Action.CANCEL in self._can(report)

    def _can(self, report: Report | None) -> tuple[str, ...]:
        if report is None or report.status.terminal:
            return ()
        return self._backend.can if report.can is None else report.can

    async def _ask(
        self, action: Action, job: Handle, report: Report | None
    ) -> tuple[Handle, Report | None]:
        wanted = WANTED[action]
        claim = f"{action}: the job becomes {' or '.join(sorted(wanted))}"
        if action is Action.RESUME and report and report.status is not Status.PAUSED:
            self._finds(claim, None, "the job was not paused")
            return job, report
        try:
            job, report, remark = await self._obeyed(action, job)
        except BackendError as error:
            self._finds(claim, False, f"{error} It was: {shown(self._raw)}")
            return job, report
        except NotObeyedError as error:
            self._finds(claim, False, str(error))
            return job._replace(is_stopped=action is Action.CANCEL), report
        stopped_by_absence = report is None and action is Action.CANCEL
        holds = stopped_by_absence or bool(report and report.status in wanted)
        seen = report.status if report else "the service has forgotten the job"
        seen = f"{seen}{remark}"
        self._finds(claim, holds, seen if holds else f"{seen}: {shown(self._raw)}")
        return job, report

    async def _obeyed(
        self, action: Action, job: Handle
    ) -> tuple[Handle, Report | None, str]:
        """Send a request, and once more: some services drop one that comes early."""

        def is_obeyed(report: Report | None) -> bool:
            return has_ended(report) or bool(report and report.status in WANTED[action])

        last = (PATIENCE_S - AGAIN_S, " when asked a second time")
        for patience_s, remark in ((AGAIN_S, ""), last):
            await self._backend.send(action, job)
            answered = shown(self._raw)
            job = job._replace(is_stopped=job.is_stopped or action is Action.CANCEL)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    job, report = await self._until(job, is_obeyed)
                return job, report, remark
        raise NotObeyedError(
            f"not within {PATIENCE_S} s, though asked twice; that was answered: "
            f"{answered}; the last status was: {shown(self._raw)}"
        )

    async def _end(self, job: Handle) -> None:
        job, report = await self._until(job, has_ended)
        if report is None or report.status is not Status.SUCCEEDED:
            why = report and report.error and report.error.message
            seen = f"{report.status if report else 'gone'}: {why or shown(self._raw)}"
            self._finds("the job succeeds", False, seen)
            return
        self._finds("the job succeeds", True, "seen")
        await self._check_result(job, report)
        await self._check_absence(job)

    async def _check_result(self, job: Handle, report: Report) -> None:
        rule = self._recipe.result
        for name in rule.values:
            value = (report.result or {}).get(name)
            seen = str(value) if value is not None else shown(self._raw)
            self._finds(f"result.values.{name}", value is not None, seen)
        if rule.request is None:
            return
        try:
            async with self._backend.result(job) as file:
                size = sum([len(part) async for part in file.chunks()])
        except BackendError as error:
            self._finds("result: the file is there", False, str(error))
            return
        self._finds("result: the file is there", size > 0, f"{size} bytes")

    async def _check_absence(self, job: Handle) -> None:
        """Ask for a job that nobody has started."""
        number = self._recipe.start.ref.type == "number"
        ref = "999999999" if number or job.ref.isdecimal() else f"{job.ref}-{NOBODY}"
        [answer] = await self._backend.reports([job._replace(ref=ref, started_at=None)])
        claim = "absent: an unknown job is recognised"
        if isinstance(answer, AbsentError):
            self._finds(claim, True, "seen")
        elif isinstance(answer, Report):
            seen = f"it is taken for {answer.status}: {shown(self._raw)}"
            self._finds(claim, False, seen)
        else:
            self._finds(claim, None, f"{answer} It was: {shown(self._raw)}")

    async def _until(
        self, job: Handle, holds: Callable[[Report | None], bool]
    ) -> tuple[Handle, Report | None]:
        """Ask until this holds of the last report, or of None: the job is gone."""
        absences = 0
        while True:
            [answer] = await self._backend.reports([job])
            self._heard.append(Heard(job.job_id, answer, self._raw))
            if isinstance(answer, Report):
                absences = 0
                self._output.show(self._bar, answer)
                job = _remembering(job, answer)
                if holds(answer):
                    return job, answer
            elif isinstance(answer, AbsentError):
                absences += 1
                if absences * self._interval_s > 1 and job.is_seen:
                    return job, _as_report(answer)
            await asyncio.sleep(self._interval_s)

    @property
    def _interval_s(self) -> float:
        return self._backend.poll_interval_ms / 1000

    def _note_answer(self, answer: HttpAnswer) -> None:
        self._raw = answer.body

    def _finds(self, claim: str, holds: bool | None, seen: str) -> None:
        self._found.append(Finding(claim, holds, seen))


def _remembering(job: Handle, report: Report) -> Handle:
    return job._replace(
        ref=report.ref or job.ref,
        kept={**job.kept, **report.kept},
        is_seen=job.is_seen or report.is_seen,
    )


def _as_report(absent: AbsentError) -> Report | None:
    """What the recipe says that absence means; None if it is a failure."""
    if absent.means is Status.FAILED:
        return None
    return replace(Report(status=absent.means))
