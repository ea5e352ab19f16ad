"""A place in the hub that a test reads from when it likes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from actors.store.values import Snapshot
from web.streams.hub import Hub
from web.streams.long_poll import LongPoll
from web.streams.subscriber import News, Subscriber

from .jobs import ALICES

NOTHING = News([], set())


class Place:
    """One subscriber, and the stream that it wakes."""

    def __init__(self, hub: Hub, subscriber: Subscriber, poll: LongPoll) -> None:
        self.subscriber = subscriber
        self._hub, self._poll = hub, poll

    async def join(
        self, jobs: Mapping[str, int], owner: str = ALICES
    ) -> dict[str, Snapshot]:
        return await self._hub.join(self.subscriber, jobs, owner)

    async def wait(self) -> None:
        """Return when the stream would be woken."""
        await self._poll.wait(self.subscriber)

    def take(self) -> News:
        return self.subscriber.take()


@asynccontextmanager
async def place_in(hub: Hub) -> AsyncIterator[Place]:
    """A place, given up on leaving."""
    poll = LongPoll()
    async with hub.subscribe(poll) as subscriber:
        yield Place(hub, subscriber, poll)
