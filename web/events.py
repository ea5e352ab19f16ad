"""The feed over Server-Sent Events."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NoReturn

from quart import Blueprint, Response, request
from redis.exceptions import RedisError

from actors.store.values import Snapshot
from web.http.problems import Problem, unavailable
from web.owners.headers import visitor
from web.owners.jobs import desk
from web.server.direct_write import Wire, chunk, wire_of
from web.streams.handover import Line, Over, line_of
from web.streams.hub import COME_BACK_MS, Feed
from web.streams.subscriber import Subscriber

MOST_JOBS = 500
# Clients send this back when all that they named has ended and they have seen it.
END_ID = "end"
END = b"id: %s\nevent: end\ndata: {}\n\n" % END_ID.encode()
HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"

logger = logging.getLogger(__name__)

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
    # No empty line: some clients take a block with nothing but `retry` for an event.
    response = Response(
        b"retry: 1000\n: welcome\n", content_type="text/event-stream; charset=utf-8"
    )
    del response.headers["Content-Length"]  # more is to follow
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    if request.method != "HEAD":  # which would wait for the end
        line, wire = line_of(request.scope), wire_of(request.scope)
        known = {job: _revision(seen, job) for job in jobs}
        line.sequel = Events(desk().feed, known, line, wire).run
    return response


class Events:
    """One open stream of events."""

    __slots__ = ("_feed", "_jobs", "_line", "_subscriber", "_tasks", "_wire")

    def __init__(
        self, feed: Feed, jobs: Mapping[str, int], line: Line, wire: Wire | None
    ) -> None:
        self._feed = feed
        self._jobs = jobs
        self._line = line
        self._wire = wire
        self._subscriber: Subscriber
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Tell until all jobs have ended, the feed has, or the client."""
        try:
            async with self._tasks, self._feed.subscribe(self) as self._subscriber:
                await self._feed.join(self._subscriber, self._jobs)
                if not self._subscriber.follows:  # all have ended, and it has seen that
                    self._subscriber.ring()
                await self._line.read_on()
                raise Over
        except* Over:
            pass
        except* RedisError as lost:  # the client comes again
            logger.info("A stream ends without Redis: %s.", lost.exceptions[0])

    def tell_at_once(self, news: Sequence[Snapshot]) -> bool:
        if self._wire is None:
            return False
        return self._wire.write(chunk(b"".join(map(_event, news))))

    def tell_soon(self) -> None:
        self._tasks.create_task(self._tell())

    async def _tell(self) -> None:
        """Send what is new, a heartbeat where nothing is, and the end."""
        while self._subscriber.look_again():
            if self._feed.ending:
                await self._end(b"retry: %d\n\n" % random.randint(*COME_BACK_MS))
            await self._send(_told(*self._feed.take(self._subscriber)) or HEARTBEAT)
            if not self._subscriber.follows:
                await self._end(END)

    async def _end(self, last: bytes) -> NoReturn:
        await self._send(last)
        await self._send(b"", more=False)
        raise Over

    async def _send(self, data: bytes, *, more: bool = True) -> None:
        await self._line.send(
            {"type": "http.response.body", "body": data, "more_body": more}
        )


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
