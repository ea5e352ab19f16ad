"""Traces by OpenTelemetry, if `OTEL_EXPORTER_OTLP_ENDPOINT` says where they go.

A job is one trace, whose id is made of the job's: so web and workers add their spans to
it without handing anything on, and a worker that dies loses none of the others. Polls
have no spans, but for the first answer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from actors.job import Job
from actors.settings import SettingError

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from .otel import Otel

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
FLUSH_S = 2

_otel: Otel | None = None
_request: ContextVar[Span | None] = ContextVar("request_span", default=None)


@contextmanager
def tracing(kind: str, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Send traces of this process inside the block, if the environment says where.

    Raises SettingError if OpenTelemetry is not installed.
    """
    global _otel
    named = next((name for name in ENDPOINTS if environ.get(name)), None)
    if named is None:
        yield
        return
    try:
        from .otel import Otel
    except ImportError as error:
        raise SettingError(
            f"{named} is set, but OpenTelemetry is not installed: "
            "pip install 'progrock[otel]'."
        ) from error
    _otel = Otel(kind)
    try:
        yield
    finally:
        otel, _otel = _otel, None
        # A collector that is away must not hold up the end of the process.
        last = threading.Thread(target=otel.close, daemon=True)
        last.start()
        last.join(FLUSH_S)


def begin_request(name: str, headers: Mapping[str, str]) -> None:
    """Begin the span of a request; those of its jobs are linked to it."""
    _request.set(_otel.request(name, headers) if _otel else None)


def end_request(status: int) -> None:
    """End it: a stream goes on without its span."""
    if span := _request.get():
        span.set_attribute("http.response.status_code", status)
        span.end()


def note(job_id: str, name: str, since: str, until: str | None) -> None:
    """Add a span to a job's trace; without `until` it ends now."""
    if _otel:
        times = _ns(since), _ns(until) if until else None
        _otel.add(ids(job_id), name, *times, _request.get())


def note_end(job: Job) -> None:
    """Add the span of the whole job, under which all others are."""
    if _otel and job.finished_at:
        told = {
            "status": job.status.value,
            "error": job.error.code if job.error else "",
        }
        _otel.add_whole(
            ids(job.job),
            f"job of {job.backend}",
            *(_ns(job.created_at), _ns(job.finished_at)),
            {"job": job.job, "backend": job.backend, **told},
        )


@contextmanager
def calling(job_id: str, name: str) -> Iterator[None]:
    """Add a span for a call to a job's backend."""
    if _otel is None:
        yield
        return
    with _otel.call(ids(job_id), name):
        yield


def is_on() -> bool:
    return _otel is not None


def ids(job_id: str) -> tuple[int, int]:
    """The id of a job's trace, and that of the span of the whole job."""
    digest = sha256(job_id.encode()).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])


def _ns(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1e9)
