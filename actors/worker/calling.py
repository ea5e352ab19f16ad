"""A call to a backend about one job, timed and traced; polls are only timed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from actors.telemetry import traces
from actors.telemetry.work import Timed


@contextmanager
def call(backend: str, name: str, job_id: str) -> Iterator[None]:
    """Time the block: a start, or a request by its action."""
    kind = "start" if name == "start" else "request"
    with Timed(backend, kind), traces.calling(job_id, f"{name} at {backend}"):
        yield
