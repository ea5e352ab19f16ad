"""A stream: one client's feed on the wire, as far as every transport does it alike."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from redis.exceptions import RedisError

from actors import Snapshot

from .connection import Connection
from .counts import SENT, closed, opened
from .hub import Hub
from .subscriber import News, Subscriber

COME_BACK_MS = (1000, 3000)  # not before this process has given its address up

logger = logging.getLogger(__name__)


class Ended(Exception):  # noqa: N818  # no error: a task group ends by an exception
    """The stream is over; with a code if a socket is to be closed."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        self.reason = reason
        self.code = code


class Stream(ABC):
    """Sends a subscriber's news over one connection, until either side ends it."""

    __slots__ = ("_connection", "_hub", "_subscriber", "_tasks")
    transport: ClassVar[str]

    def __init__(self, hub: Hub, connection: Connection) -> None:
        self._hub = hub
        self._connection = connection
        self._subscriber: Subscriber
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Serve the client until the stream is over."""
        reason = "error"
        opened(self.transport)
        try:
            async with self._tasks, self._hub.subscribe(self) as self._subscriber:
                await self._serve()
                raise Ended("client")
        except* Ended as ended:
            [first] = ended.exceptions[:1]
            assert isinstance(first, Ended)
            reason = first.reason
            await self._close(first)
        except* RedisError as lost:  # the client comes again
            reason = "redis"
            logger.info("A stream ends without Redis: %s.", lost.exceptions[0])
        finally:
            closed(self.transport, reason)

    def write_now(self, news: Sequence[Snapshot]) -> bool:
        """Send news without waiting and return True; return False if it cannot."""
        is_written = self._connection.write_now(self._encoded(news))
        if is_written:
            SENT[self.transport] += len(news)
        return is_written

    def wake(self) -> None:
        """Begin to send the news."""
        self._tasks.create_task(self._send_all())

    async def _send_all(self) -> None:
        while self._subscriber.take_ring():
            if self._hub.ending:
                await self._say_goodbye(random.randint(*COME_BACK_MS))
            news = self._subscriber.take()
            await self._send_news(news)
            SENT[self.transport] += len(news.snapshots)

    @abstractmethod
    async def _serve(self) -> None:
        """Join jobs and listen to the client; returns when the client has gone."""

    @abstractmethod
    def _encoded(self, news: Sequence[Snapshot]) -> bytes:
        """Return news in bytes as they go over the wire."""

    @abstractmethod
    async def _send_news(self, news: News) -> None:
        """Send news, or a heartbeat if there are none."""

    @abstractmethod
    async def _say_goodbye(self, come_back_ms: int) -> None:
        """Tell the client when to come back; raises Ended."""

    @abstractmethod
    async def _close(self, ended: Ended) -> None:
        """Close the connection of a stream that is over."""
