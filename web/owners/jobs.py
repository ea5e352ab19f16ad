"""An owner's jobs: start one, look at them, ask something of one, fetch its result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

import actors
from actors import (
    Action,
    Adoptable,
    Backend,
    BackendError,
    Backends,
    Handle,
    Job,
    KeyReusedError,
    ParamsError,
    ResultFile,
    Settings,
    Snapshot,
    Store,
    TooManyJobsError,
)
from web.http.problems import Problem, no_such_job
from web.server.limits import MAX_JOBS_PER_LIST, MAX_KEY_CHARACTERS

from .listings import Listings
from .visitors import Visitor


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of all owners; each method answers one owner about their own."""

    settings: Settings
    store: Store
    backends: Backends
    listings: Listings = field(default_factory=Listings)

    async def start(
        self,
        visitor: Visitor,
        backend: str | None,
        params: Mapping[str, Any],
        key: str | None = None,
    ) -> Job:
        """Start a job, or return the one that `key` started; raises a Problem."""
        key = _checked(key)
        max_active = self.settings.max_active_jobs if self.settings.limits else 0
        try:
            return await actors.submit(
                self.store,
                self.backend(backend or self.backends.default),
                params,
                owner=visitor.owner,
                max_active=max_active,
                key=key,
            )
        except (ParamsError, KeyReusedError, TooManyJobsError) as error:
            raise _refusal(error, max_active) from error

    async def adopt(self, visitor: Visitor, backend: str, ref: str) -> Job:
        """Watch what runs at a backend already; raises a Problem."""
        max_active = self.settings.max_active_jobs if self.settings.limits else 0
        try:
            return await actors.adopt(
                self.store,
                self.backend(backend),
                ref,
                owner=visitor.owner,
                max_active=max_active,
            )
        except actors.NotPossibleError as error:
            raise Problem(409, "cannot_adopt", str(error)) from error
        except ParamsError as error:
            raise Problem(422, "bad_ref", str(error)) from error
        except TooManyJobsError as error:
            raise _refusal(error, max_active) from error

    async def adoptable(self, visitor: Visitor, name: str) -> list[Adoptable]:
        """The jobs at a backend that the visitor may adopt; raises a Problem."""
        if name not in self.backends:
            said = f"There is no backend called {name[:80]!r}."
            raise Problem(404, "unknown_backend", said)
        if not self.backends[name].lists:
            raise Problem(409, "cannot_list", f"Jobs of {name} cannot be listed.")
        try:
            found = await self.listings.of(self.backends[name])
        except BackendError as error:
            raise Problem(502, error.code, error.message) from error
        watched = await self._watched(visitor, name)
        return [each for each in found if each.ref not in watched]

    async def _watched(self, visitor: Visitor, name: str) -> set[str | None]:
        """How the backend calls those of its jobs that are the visitor's already."""
        page = await self.store.owned.page(
            visitor.owner, status=None, limit=MAX_JOBS_PER_LIST, cursor=None
        )
        jobs = (msgspec.json.decode(each.data, type=Job) for each in page.snapshots)
        ids = [job.job for job in jobs if job.backend == name and not job.finished]
        states = await asyncio.gather(*map(self.store.backend_state, ids))
        return {state.ref for state in states}

    def backend(self, name: str) -> Backend:
        """Return a backend by name; raises a 422 Problem."""
        try:
            return self.backends[name]
        except KeyError as error:
            raise Problem(
                422, "unknown_backend", f"There is no backend called {name[:80]!r}."
            ) from error

    def catalogue(self) -> list[dict[str, Any]]:
        """The public facts of each backend."""
        return [
            {
                "name": backend.name,
                "title": backend.title,
                "description": backend.description,
                "params": backend.params,
                "can": backend.can,
                "adopt": backend.adopt_title,
                "lists": backend.lists,
            }
            for backend in self.backends.values()
        ]

    async def snapshots(self, visitor: Visitor, ids: Sequence[str]) -> list[Snapshot]:
        """Read jobs as they are on the wire; raises a 404 Problem for any other's."""
        found = await self.store.snapshots(ids, visitor.owner)
        snapshots = [snapshot for snapshot in found if snapshot]
        if len(snapshots) < len(ids):
            raise no_such_job()
        return snapshots

    async def snapshot(self, visitor: Visitor, job_id: str) -> Snapshot:
        """Read one job as it is on the wire; raises a 404 Problem."""
        [snapshot] = await self.snapshots(visitor, [job_id])
        return snapshot

    async def request(self, visitor: Visitor, job_id: str, action: Action) -> Job:
        """Ask for an action; raises a 404 or 409 Problem."""
        try:
            return await actors.request(self.store, job_id, action, owner=visitor.owner)
        except KeyError as error:
            raise no_such_job() from error
        except actors.NotPossibleError as error:
            raise Problem(409, f"cannot_{action}", str(error)) from error

    async def result(
        self, visitor: Visitor, job_id: str
    ) -> AsyncIterator[ResultFile | bytes]:
        """Yield the file that a job made, then its content; raises a Problem.

        So a refusal comes before any of the answer has been sent.
        """
        job = await self.store.load(job_id, visitor.owner)
        if job is None:
            raise no_such_job()
        result, name = job.result, job.backend
        if not (result and result.get("content_type")) or name not in self.backends:
            raise Problem(404, "no_result", "This job has made no file.")
        state = await self.store.backend_state(job_id)
        assert state.ref is not None  # it has a result
        try:
            handle = Handle(
                state.ref, job_id, job.params, job.started_at, kept=state.kept
            )
            async with self.backends[name].result(handle) as file:
                yield file
                async for chunk in file.chunks():
                    yield chunk
        except BackendError as error:
            raise Problem(502, error.code, error.message) from error


def _checked(key: str | None) -> str | None:
    """Return the key without spaces around it, as a header has it."""
    if key is None:
        return None
    key = key.strip()
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS:
        raise Problem(
            422,
            "bad_key",
            f"An Idempotency-Key must have 1 to {MAX_KEY_CHARACTERS} characters.",
        )
    return key


def _refusal(error: Exception, max_active: int) -> Problem:
    match error:
        case KeyReusedError():
            said = "This Idempotency-Key has started another job."
            return Problem(422, "key_reused", said)
        case TooManyJobsError():
            said = (
                f"You have {max_active} unfinished jobs; "
                "wait for one to end or stop one."
            )
            return Problem(429, "too_many_jobs", said, retry_after_s=5)
        case _:
            return Problem(422, "bad_params", str(error))
