"""What every transport does alike: start a job, look it up, stop it, for its owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quart import current_app

import actors
from actors import Job
from actors.backends import Backend
from actors.backends.registry import Backends
from actors.recipes.params import ParamsError
from actors.settings import Settings
from actors.store import Store, TooManyJobsError
from actors.store.values import Snapshot
from web.http.problems import Problem, no_such_job
from web.owners.visitors import Access, Visitor
from web.streams.hub import Feed


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes of one app work with."""

    settings: Settings
    store: Store
    backends: Backends
    feed: Feed
    access: Access

    async def start(
        self, visitor: Visitor, backend: str | None, params: Mapping[str, Any]
    ) -> Job:
        """Start a job; raises a Problem where that cannot be."""
        most = self.settings.max_active_jobs if self.settings.limits else 0
        try:
            return await actors.submit(
                self.store,
                self.backend(backend or self.settings.default_backend),
                params,
                owner=visitor.owner,
                most_active=most,
            )
        except ParamsError as error:
            raise Problem(422, "bad_params", str(error)) from error
        except TooManyJobsError as error:
            raise Problem(
                429,
                "too_many_jobs",
                f"You have {most} unfinished jobs; wait for one to end or stop one.",
                retry_after_s=5,
            ) from error

    def backend(self, name: str) -> Backend:
        """Return a backend by name; raises a 422 Problem."""
        try:
            return self.backends[name]
        except KeyError as error:
            raise Problem(
                422, "unknown_backend", f"There is no backend called {name[:80]!r}."
            ) from error

    def catalogue(self) -> list[dict[str, Any]]:
        """What a visitor may know of each backend."""
        return [
            {
                "name": backend.name,
                "title": backend.title,
                "description": backend.description,
                "params": backend.params,
                "can": backend.can,
            }
            for backend in self.backends.values()
        ]

    async def check_owner(self, visitor: Visitor, jobs: Sequence[str]) -> None:
        """Raises a 404 Problem unless all of these jobs are the visitor's."""
        owners = await self.store.owners(jobs)
        if any(owner != visitor.owner for owner in owners):
            raise no_such_job()

    async def snapshot(self, visitor: Visitor, job: str) -> Snapshot:
        """Read a job as it is on the wire; raises a 404 Problem."""
        await self.check_owner(visitor, [job])
        snapshot = (await self.store.snapshots([job]))[0]
        if snapshot is None:
            raise no_such_job()
        return snapshot

    async def job(self, visitor: Visitor, job: str) -> Job:
        """Read a job; raises a 404 Problem."""
        loaded = await self.store.load(job)
        if loaded is None or loaded[1] != visitor.owner:
            raise no_such_job()
        return loaded[0]

    async def cancel(self, visitor: Visitor, job: str) -> Job:
        """Have a job stopped; raises a 404 or 409 Problem."""
        await self.check_owner(visitor, [job])
        try:
            return await actors.cancel(self.store, job)
        except KeyError as error:
            raise no_such_job() from error
        except actors.NotPossibleError as error:
            raise Problem(409, "cannot_cancel", str(error)) from error


def desk() -> Desk:
    """The desk of the app that serves this request."""
    found = current_app.extensions["desk"]
    assert isinstance(found, Desk)
    return found
