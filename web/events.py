"""The feed over Server-Sent Events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import lru_cache, partial

from quart import Blueprint, Response, request

from actors.store import Snapshot

from .desk import desk
from .feed import Feed
from .problems import Problem, unavailable
from .visiting import visitor
from .wire import Wire, chunk, wire_of

MOST_JOBS = 500
COME_BACK_MS = (1000, 3000)  # not before this process has let its address go
# Clients send this back when all that they named has ended and they have seen it.
END_ID = "end"
HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"

events = Blueprint("events", __name__)


@events.get("/events")
async def stream_events() -> Response:
    jobs = list(dict.fromkeys(request.args.getlist("job")))
    if not 1 <= len(jobs) <= MOST_JOBS:
        raise Problem(
            400, "bad_jobs", f"Name from 1 to {MOST_JOBS} jobs: /events?job=…"
        )
    if desk().feed.draining:
        raise unavailable()
    await desk().check_owner(visitor(), jobs)
    seen = _last_event_id()
    if await _all_seen(jobs, seen):
        return Response(status=204)
    known = {job: _revision(seen, job) for job in jobs}
    stream = _events(desk().feed, known, wire_of(request.scope))
    response = Response(
        b"" if request.method == "HEAD" else stream,  # which would wait for the end
        content_type="text/event-stream; charset=utf-8",
    )
    response.timeout = None  # it ends when the jobs do
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    return response


async def _events(
    feed: Feed, jobs: Mapping[str, int], wire: Wire | None
) -> AsyncIterator[bytes]:
    # No empty line: some clients take a block with nothing but `retry` for an event.
    yield b"retry: 1000\n: welcome\n"
    at_once = partial(_send_at_once, wire) if wire else None
    async with feed.subscribe(at_once) as subscriber:
        await feed.join(subscriber, jobs)
        while subscriber.follows:
            await subscriber.wait()
            if feed.ending:
                yield b"retry: %d\n\n" % random.randint(*COME_BACK_MS)
                return
            yield _told(*feed.take(subscriber)) or HEARTBEAT
            # A send that need not wait does not let others have the loop.
            await asyncio.sleep(0)
    yield f"id: {END_ID}\nevent: end\ndata: {{}}\n\n".encode()


def _send_at_once(wire: Wire, news: Sequence[Snapshot]) -> bool:
    return wire.write(chunk(b"".join(map(_event, news))))


def _told(news: Iterable[Snapshot], gone: Iterable[str]) -> bytes:
    """All that is new, as one piece."""
    lost = [b'event: gone\ndata: {"job":"%s"}\n\n' % job.encode() for job in gone]
    return b"".join([*map(_event, news), *lost])


@lru_cache(maxsize=128)  # many streams are told the same
def _event(snapshot: Snapshot) -> bytes:
    return b"id: %s:%d\ndata: %s\n\n" % (
        snapshot.job.encode(),
        snapshot.revision,
        snapshot.data,
    )


def _last_event_id() -> str:
    query = request.args
    given = (
        request.headers.get("Last-Event-ID"),
        query.get("last_event_id"),
        query.get("lastEventId"),  # what reconnecting-eventsource from npm sends
    )
    return next(filter(None, given), "")


def _revision(last_event_id: str, job: str) -> int:
    """The revision of `job` that the client has, where the id tells it."""
    named, _, revision = last_event_id.rpartition(":")
    try:
        return int(revision) if named == job else 0
    except ValueError:
        return 0


async def _all_seen(jobs: list[str], last_event_id: str) -> bool:
    if not last_event_id:
        return False
    snapshots = await desk().store.snapshots(jobs)
    if not all(snapshot is None or snapshot.finished for snapshot in snapshots):
        return False
    only = snapshots[0] if len(jobs) == 1 else None
    return last_event_id == END_ID or (
        only is not None and _revision(last_event_id, only.job) == only.revision
    )
