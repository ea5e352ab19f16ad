"""A backend that a class in Python speaks to: its errors and its time are bounded."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from actors.limits import LOG_CAUSE_AGAIN_AFTER_S
from actors.recipes.params import ParamsError
from actors.requests import Action

from . import Adoptable, BackendError, Handle, Report, ResultFile, Started
from .failures import LostAnswerError, not_understood, start_unknown
from .own_loop import NotBegunError, OwnLoop
from .python import PythonBackend
from .reading import Reading
from .sound import sound_adoptable, sound_report, sound_start

logger = logging.getLogger(__name__)


class Guarded:
    """A Backend around a PythonBackend, which runs on an event loop of its own.

    A call that takes longer than `timeout_s` is cancelled, and fails with `timeout`.
    An error other than BackendError is a missed call; its cause is logged once in a
    while. `mask` takes secrets out of what is logged.
    """

    def __init__(self, author: PythonBackend, mask: Callable[[str], str]) -> None:
        self.name = author.name
        self.title = author.title
        self.description = author.description
        self.params: Mapping[str, Any] = author.params
        self.can = author.can
        self.batch_size = author.batch_size
        self.lane_size = author.lane_size
        self.poll_interval_ms = author.poll_interval_ms
        self.idle_interval_ms = author.idle_interval_ms
        self.give_up_after_s = author.give_up_after_s
        self.starts_once = author.starts_once
        self.deadline_s = author.deadline_s
        self.adopt_title = author.adopt_title
        self.lists = author.lists
        self.most_active = author.most_active
        self.calls_per_minute = author.calls_per_minute
        self.calls_made = 0
        self._author = author
        self._mask = mask
        self._loop = OwnLoop(author.name)
        self._quiet_until: dict[str, float] = {}

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with defaults filled in; raises ParamsError."""
        checked: dict[str, Any] = self._checked(self._author.check, params)
        return checked

    def check_ref(self, ref: str) -> str:
        """Return the name of a job to adopt; raises ParamsError if it does not fit."""
        checked: str = self._checked(self._author.check_ref, ref)
        return checked

    async def adoptable(self) -> list[Adoptable]:
        """Return the jobs there that may be adopted; raises BackendError."""
        try:
            return sound_adoptable(await self._run(self._author.adoptable))
        except Exception as error:
            raise self._missed("adoptable", error) from error

    async def start(self, job_id: str, params: Mapping[str, Any]) -> Started:
        """Start a job; an error after which it may run there is `start_unknown`."""
        call = partial(self._author.start, job_id, params)
        try:
            started = await self._run(call)
        except NotBegunError as error:
            raise self._slow() from error
        except Exception as error:
            raise self._not_started(error) from error
        try:
            return sound_start(started)
        except (TypeError, ValueError) as error:
            self._log("start", error)
            raise start_unknown(self.title) from error

    async def reports(self, jobs: Sequence[Handle]) -> list[Report | BackendError]:
        """Ask for up to `batch_size` jobs at once; answers in the order asked."""
        try:
            answers = await self._run(partial(self._author.reports, jobs))
            if len(answers) != len(jobs):
                raise ValueError(f"{len(answers)} answers for {len(jobs)} jobs")
        except Exception as error:
            return [self._missed("reports", error)] * len(jobs)
        return [self._sound(answer) for answer in answers]

    async def send(self, action: Action, job: Handle) -> None:
        """Ask for a job to be cancelled, paused or resumed; raises BackendError."""
        try:
            await self._run(partial(self._author.send, action, job))
        except Exception as error:
            raise self._missed(action, error) from error

    @asynccontextmanager
    async def result(self, job: Handle) -> AsyncIterator[ResultFile]:
        """Open the file that a job made; the time-out is that of each of its parts."""
        reading = Reading(partial(self._author.result, job))
        try:
            file = await self._read(reading.open)
            yield _File(file, partial(self._chunks, reading))
        finally:
            await self._quietly("result", reading.close)

    async def close(self) -> None:
        """Let the author close all that is open, and end the loop."""
        if self._loop.is_started:
            await self._quietly("close", self._author.close)
        await self._loop.close()

    async def _run(self, call: Callable[[], Any]) -> Any:
        self.calls_made += 1
        return await self._loop.run(call, self._author.timeout_s)

    async def _chunks(self, reading: Reading) -> AsyncIterator[bytes]:
        while (chunk := await self._read(reading.chunk)) is not None:
            yield chunk

    async def _read(self, call: Callable[[], Any]) -> Any:
        try:
            return await self._run(call)
        except Exception as error:
            raise self._missed("result", error) from error

    async def _quietly(self, method: str, call: Callable[[], Any]) -> None:
        try:
            await self._run(call)
        except Exception as error:
            self._log(method, error)

    def _checked(self, check: Callable[[Any], Any], value: Any) -> Any:
        try:
            return check(value)
        except ParamsError:
            raise
        except Exception as error:
            self._log("check", error)
            raise ParamsError(f"{self.title} cannot take these.") from error

    def _not_started(self, error: Exception) -> BackendError:
        missed = self._missed("start", error)
        is_said = error is missed and not isinstance(error, LostAnswerError)
        if is_said or not self.starts_once:
            return missed
        return start_unknown(self.title)

    def _sound(self, answer: Any) -> Report | BackendError:
        if isinstance(answer, Exception):
            return self._missed("report", answer)
        try:
            return sound_report(answer, self.title, self._author.unit)
        except Exception as error:
            return self._missed("report", error)

    def _missed(self, method: str, error: Exception) -> BackendError:
        """Return the error of a call as a BackendError; the log has its cause."""
        if isinstance(error, BackendError):
            return error
        if isinstance(error, TimeoutError):
            return self._slow()
        self._log(method, error)
        return not_understood(self.title)

    def _slow(self) -> BackendError:
        return BackendError("timeout", f"{self.title} takes too long.")

    def _log(self, method: str, error: Exception) -> None:
        """Log a cause, but not with each of many calls that fail alike."""
        [*_, last] = traceback.extract_tb(error.__traceback__) or [None]
        where = f"{method} {type(error)} {last and (last.filename, last.lineno)}"
        now = time.monotonic()
        if now < self._quiet_until.get(where, now):
            return
        self._quiet_until[where] = now + LOG_CAUSE_AGAIN_AFTER_S
        logger.error(
            "%s of the backend %s failed in a new way.\n%s",
            method,
            self.name,
            self._mask("".join(traceback.format_exception(error))),
        )


class _File:
    """A file on its way from the author's loop."""

    def __init__(
        self, file: ResultFile, chunks: Callable[[], AsyncIterator[bytes]]
    ) -> None:
        self.content_type = file.content_type
        self.length = file.length
        self.chunks = chunks
