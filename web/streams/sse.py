"""A stream over Server-Sent Events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NoReturn

from actors import Snapshot
from web.server.direct_write import chunk

from .connection import Connection
from .hub import Hub
from .stream import Ended, Stream
from .subscriber import News

# Clients send this back after they have seen the end of all the jobs that they named.
END_ID = "end"
END = b"id: %s\nevent: end\ndata: {}\n\n" % END_ID.encode()
HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"


class EventStream(Stream):
    """The feed of some jobs, until all have ended."""

    __slots__ = ("_jobs", "_owner")
    transport = "sse"

    def __init__(
        self, hub: Hub, connection: Connection, jobs: Mapping[str, int], owner: str
    ) -> None:
        super().__init__(hub, connection)
        self._jobs = jobs
        self._owner = owner

    async def _serve(self) -> None:
        await self._hub.join(self._subscriber, self._jobs, self._owner)
        if not self._subscriber.follows:  # all have ended, and the client knows
            self._subscriber.ring()
        await self._connection.read_on()

    def _encoded(self, news: Sequence[Snapshot]) -> bytes:
        return chunk(b"".join(map(_event, news)))

    async def _send_news(self, news: News) -> None:
        lost = [b'event: gone\ndata: {"job":"%s"}\n\n' % j.encode() for j in news.gone]
        events = b"".join([*map(_event, news.snapshots), *lost])
        await self._send(events or HEARTBEAT)
        if not self._subscriber.follows:
            await self._end(END, "finished")

    async def _close(self, ended: Ended) -> None:
        """The response has ended already."""

    async def _say_goodbye(self, come_back_ms: int) -> NoReturn:
        await self._end(b"retry: %d\n\n" % come_back_ms, "drain")

    async def _end(self, last: bytes, reason: str) -> NoReturn:
        await self._send(last)
        await self._send(b"", more=False)
        raise Ended(reason)

    async def _send(self, data: bytes, *, more: bool = True) -> None:
        await self._connection.send(
            {"type": "http.response.body", "body": data, "more_body": more}
        )


@lru_cache(maxsize=128)  # many streams are told the same
def _event(snapshot: Snapshot) -> bytes:
    return b"id: %s:%d\ndata: %s\n\n" % (
        snapshot.job.encode(),
        snapshot.revision,
        snapshot.data,
    )
