"""The feed over Server-Sent Events."""

from __future__ import annotations

from collections.abc import Sequence

from quart import Blueprint, Response, request

from actors import Snapshot

from .http.problems import Problem, unavailable
from .owners import current_jobs, current_visitor
from .server.limits import MAX_JOBS_PER_EVENT_STREAM
from .streams import current_hub
from .streams.connection import connection_of
from .streams.sse import END_ID, EventStream

routes = Blueprint("events", __name__)


@routes.get("/events")
async def stream_events() -> Response:
    names = list(dict.fromkeys(request.args.getlist("job")))
    if not 1 <= len(names) <= MAX_JOBS_PER_EVENT_STREAM:
        raise Problem(
            400,
            "bad_jobs",
            f"Name from 1 to {MAX_JOBS_PER_EVENT_STREAM} jobs: /events?job=…",
        )
    if current_hub().draining:
        raise unavailable()
    last_id = _last_event_id()
    if _has_seen_all(last_id, await current_jobs().snapshots(current_visitor(), names)):
        return Response(status=204)
    if request.method != "HEAD":  # which would wait for the end
        connection = connection_of(request.scope)
        known = {job: _revision(last_id, job) for job in names}
        owner = current_visitor().owner
        connection.sequel = EventStream(current_hub(), connection, known, owner).run
    return _opening()


def _opening() -> Response:
    # No empty line: some clients take a block with nothing but `retry` for an event.
    response = Response(
        b"retry: 1000\n: welcome\n", content_type="text/event-stream; charset=utf-8"
    )
    del response.headers["Content-Length"]  # more is to follow
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _last_event_id() -> str:
    query = request.args
    given = (
        request.headers.get("Last-Event-ID"),
        query.get("last_event_id"),
        query.get("lastEventId"),  # as reconnecting-eventsource from npm sends it
    )
    return next(filter(None, given), "")


def _revision(last_event_id: str, job: str) -> int:
    """The revision of `job` that the client has, if the id tells it."""
    named, _, revision = last_event_id.rpartition(":")
    try:
        return int(revision) if named == job else 0
    except ValueError:
        return 0


def _has_seen_all(last_event_id: str, snapshots: Sequence[Snapshot]) -> bool:
    """True if all jobs have ended and the client comes back after their end."""
    if not all(snapshot.finished for snapshot in snapshots):
        return False
    if last_event_id == END_ID:
        return True
    [only, *others] = snapshots
    return not others and _revision(last_event_id, only.job) == only.revision
