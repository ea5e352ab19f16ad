"""The base of a backend that is a class in Python; docs/backends.md has a walk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec

from actors.recipes.params import Params, ParamsError
from actors.requests import Action

from . import (
    AbsentError,
    Adoptable,
    BackendError,
    Handle,
    Report,
    ResultFile,
    Started,
)
from .failures import no_result

T = TypeVar("T")

ACTIONS = tuple(Action)


class Setup(NamedTuple):
    """All that the recipe of a PythonBackend says, with the settings' pace filled in.

    `params` is the JSON Schema of a job's params, `options` the recipe's free table.
    Each name that ends with `_ms` is in milliseconds, with `_s` in seconds.
    """

    name: str
    title: str
    description: str = ""
    unit: str | None = None
    timeout_s: float = 5
    poll_interval_ms: int = 200
    idle_interval_ms: int = 2000
    give_up_after_s: int = 86400
    deadline_s: int | None = None
    most_active: int | None = None
    calls_per_minute: int | None = None
    params: Mapping[str, Any] = MappingProxyType({"type": "object", "properties": {}})
    options: Mapping[str, Any] = MappingProxyType({})

    def read_options(self, kind: type[T]) -> T:
        """Return the options as a msgspec.Struct, a TypedDict or a dataclass.

        Raises msgspec.ValidationError. In a constructor let it through: the process
        then stops with one line that names the file and the key.
        """
        return msgspec.convert(dict(self.options), kind)


class PythonBackend:
    """A third party that a recipe cannot describe, such as one that signs requests.

    A subclass has `start`, and `report` or `reports`; all else is optional. Every
    method but the constructor and the two checks is called on an event loop of this
    backend's own, and has `timeout_s` seconds. Many calls may be under way at once,
    and several processes have an object of their own: anything that must survive is
    in a job's `ref` and `kept` values, or at the third party.

    `batch_size`: how many jobs `reports` takes. `lane_size`: how many jobs one beat
    polls. `starts_once`: False says that a repeated start with the same job id starts
    no second job; otherwise a start whose answer was lost fails as `start_unknown`.
    `adopt_title`: how people call the name of a job that others have started; None
    if such jobs may not be watched.
    """

    batch_size: int = 1
    lane_size: int = 200
    starts_once: bool = True
    adopt_title: str | None = None

    def __init__(self, setup: Setup) -> None:
        """Take the setup; it may raise ValueError with a sentence. No loop runs yet."""
        self.setup = setup
        self.name = setup.name
        self.title = setup.title
        self.description = setup.description
        self.unit = setup.unit
        self.timeout_s = setup.timeout_s
        self.params = setup.params
        self.poll_interval_ms = setup.poll_interval_ms
        self.idle_interval_ms = setup.idle_interval_ms
        self.give_up_after_s = setup.give_up_after_s
        self.deadline_s = setup.deadline_s
        self.most_active = setup.most_active
        self.calls_per_minute = setup.calls_per_minute
        self.__params = Params(setup.params)

    @property
    def can(self) -> tuple[str, ...]:
        """Those of cancel, pause and resume that the subclass defines."""
        return tuple(str(a) for a in ACTIONS if is_own(type(self), a))

    @property
    def lists(self) -> bool:
        """True if the subclass says which jobs may be adopted."""
        return self.adopt_title is not None and is_own(type(self), "adoptable")

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with defaults filled in; raises ParamsError.

        It is called in the web process and must not wait for anything.
        """
        return self.__params.check(params)

    def check_ref(self, ref: str) -> str:
        """Return the name of a job to adopt; raises ParamsError if it does not fit.

        Only with an `adopt_title`. It must not wait for anything either.
        """
        raise ParamsError(
            f"The {self.adopt_title or 'name'} {ref[:80]!r} does not fit."
        )

    async def adoptable(self) -> Sequence[Adoptable]:
        """Say which jobs there may be adopted, with an `adopt_title`.

        It is called in the web process. Raises BackendError.
        """
        raise _refusal(self.title)

    async def start(self, job_id: str, params: Mapping[str, Any]) -> Started:
        """Start a job, whose id is ours, with params that are checked.

        Raises BackendError: `permanent` if it is refused; otherwise it is asked again,
        so only raise such a one if the job was not begun. Any other error, or no answer
        in time, may have begun it: see `starts_once`.
        """
        raise NotImplementedError

    async def report(self, job: Handle) -> Report:
        """Say how a job is.

        Raises AbsentError if the third party does not know it: said twice and for some
        seconds, that is its end. Raises BackendError if it cannot be said: the job is
        not reachable and asked for again; with `permanent` it has failed for good. Any
        other error, or no answer in time, is a missed call.
        """
        raise NotImplementedError

    async def reports(self, jobs: Sequence[Handle]) -> Sequence[Report | Exception]:
        """Say how up to `batch_size` jobs are, in their order; an error is returned.

        Override it if one call can ask for many. As it is, it calls `report` for each.
        """
        return await asyncio.gather(*map(self.report, jobs), return_exceptions=True)  # type: ignore[return-value]  # nothing of BaseException comes so far

    async def cancel(self, job: Handle) -> None:
        """Ask for the job's end, and return when the third party has taken it.

        The job is over only when `report` says so. May be called twice. A BackendError
        that is `permanent` is a refusal; otherwise it is asked again. AbsentError: the
        job is over already.
        """
        raise _refusal(self.title)

    async def pause(self, job: Handle) -> None:
        """Ask for a pause, as `cancel` does; `report` then says `paused`."""
        raise _refusal(self.title)

    async def resume(self, job: Handle) -> None:
        """Ask for the job to go on, as `cancel` does."""
        raise _refusal(self.title)

    def result(self, job: Handle) -> AbstractAsyncContextManager[ResultFile]:
        """Open the file that a job made, which a Report has announced as `file`.

        It is called in the web process; its opening and each of its chunks have
        `timeout_s`. Raises BackendError.
        """
        raise no_result()

    async def close(self) -> None:
        """Close every connection, at the end of a process in which it was called."""

    async def send(self, action: Action, job: Handle) -> None:
        """Call the method of that name. A job that is gone counts as cancelled."""
        try:
            await getattr(self, action)(job)
        except AbsentError:
            if action is not Action.CANCEL or not job.is_seen:
                raise


class BytesFile(NamedTuple):
    """A result file that is in memory."""

    content_type: str
    data: bytes

    @property
    def length(self) -> int:
        return len(self.data)

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.data


@asynccontextmanager
async def opened(file: ResultFile) -> AsyncIterator[ResultFile]:
    """Return a file that needs no closing as `result` has to."""
    yield file


def _refusal(title: str) -> BackendError:
    return BackendError("refused", f"{title} cannot do this.", permanent=True)


def is_own(kind: type[PythonBackend], method: str) -> bool:
    """True if the class has a method of its own instead of the base's."""
    return getattr(kind, method) is not getattr(PythonBackend, method)
