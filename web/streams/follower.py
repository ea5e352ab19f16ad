"""The subscription to the feed: it is renewed after every loss of Redis."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from actors import CutOffError, Feed, Store, limited

from .counts import FEED_UP

RETRY_S = 0.5

logger = logging.getLogger(__name__)


class Follower:
    """Hears the workers' announcements on the channels of some partitions.

    `on_news` is called with each. `on_gap` is called with a channel when that begins to
    be heard, for nothing was heard until then.
    """

    def __init__(
        self,
        store: Store,
        on_news: Callable[[bytes], None],
        on_gap: Callable[[str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._on_news = on_news
        self._on_gap = on_gap
        self._first = store.first_channel
        self._wanted = {self._first}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._feed: Feed | None = None
        self.connected = False

    async def follow(self) -> None:
        """Pass on announcements, for as long as no connection to Redis is lost."""
        self._feed = feed = self._store.feed(self._take)
        self._confirmed = {}
        try:
            for channel in list(self._wanted):
                await self._subscribe(feed, channel)
            await feed.lost()
        except CutOffError as error:
            logger.warning("The feed is renewed: %s.", error)
            return
        except (RedisError, OSError) as error:
            if self.connected:
                logger.warning("The feed has lost Redis: %s.", error)
            self._set(connected=False)
        except BaseException:
            self._set(connected=False)
            raise
        finally:
            await self._end(feed)
        await asyncio.sleep(RETRY_S * random.uniform(0.2, 1))

    async def want(self, channel: str) -> None:
        """Hear a channel from now on; raises a RedisError if it cannot be confirmed.

        While Redis is away nothing is confirmed: after that there is a gap for all.
        """
        self._wanted.add(channel)
        if self._feed is None:
            return
        async with limited():
            if channel not in self._confirmed:
                await self._subscribe(self._feed, channel)
            await self._confirmed[channel].wait()

    @property
    def extra(self) -> set[str]:
        """The wanted channels but the first, which tells that Redis is there."""
        return self._wanted - {self._first}

    async def drop(self, channel: str) -> None:
        """Hear a channel no longer."""
        self._wanted.discard(channel)
        self._confirmed.pop(channel, None)
        if self._feed is None:
            return
        try:
            await self._feed.unsubscribe(channel)
        except RedisError as error:  # it is heard until the feed is renewed
            logger.info("A channel of the feed is still heard: %s.", error)

    def _set(self, *, connected: bool) -> None:
        self.connected = connected
        FEED_UP[()] = int(connected)

    async def _subscribe(self, feed: Feed, channel: str) -> None:
        if channel in self._confirmed:
            return
        self._confirmed[channel] = asyncio.Event()
        try:
            await feed.subscribe(channel)
        except BaseException:
            self._confirmed.pop(channel, None)  # so that it is tried again
            raise

    async def _end(self, feed: Feed) -> None:
        self._feed = None
        for event in self._confirmed.values():
            event.set()
        await feed.close()

    async def _take(self, kind: str, channel: bytes, news: bytes) -> None:
        if kind == "news":
            self._on_news(news)
            return
        # Also after redis-py has quietly connected again: there was a gap.
        name = channel.decode()
        await self._on_gap(name)
        self._set(connected=self.connected or name == self._first)
        if name in self._confirmed:
            self._confirmed[name].set()
