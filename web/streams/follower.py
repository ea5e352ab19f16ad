"""The subscription to the feed: it is renewed after every loss of Redis."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from actors import Store, limited

PING_S = 2.0  # a silent Redis is asked if it is there
SILENCE_S = 5.0  # and taken for lost if it does not answer
RETRY_S = 0.5

logger = logging.getLogger(__name__)


class Follower:
    """Hears the workers' announcements on the channels of some partitions.

    `on_message` is called with each. `on_gap` is called with a channel when that begins
    to be heard, for nothing was heard until then.
    """

    def __init__(
        self,
        store: Store,
        on_message: Callable[[bytes], None],
        on_gap: Callable[[str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._on_message = on_message
        self._on_gap = on_gap
        self._first = store.first_channel
        self._wanted = {self._first}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._pubsub: PubSub | None = None
        self.connected = False

    async def follow(self) -> None:
        """Pass on announcements, for as long as one connection to Redis lasts."""
        channels = set(self._wanted)
        try:
            async with self._store.listen(channels) as pubsub:
                self._confirmed = {each: asyncio.Event() for each in channels}
                self._pubsub = pubsub
                for channel in self._wanted - channels:  # since then
                    await self._subscribe(pubsub, channel)
                await self._hear(pubsub)
        except (RedisError, OSError) as error:
            if self.connected:
                logger.warning("The feed has lost Redis: %s.", error)
        finally:
            self.connected, self._pubsub = False, None
            for event in self._confirmed.values():
                event.set()
        await asyncio.sleep(RETRY_S * random.uniform(0.2, 1))

    async def want(self, channel: str) -> None:
        """Hear a channel from now on; raises a RedisError if it cannot be confirmed.

        While Redis is away nothing is confirmed: after that there is a gap for all.
        """
        is_new = channel not in self._wanted
        self._wanted.add(channel)
        if self._pubsub is None:
            return
        async with limited():
            if is_new:
                await self._subscribe(self._pubsub, channel)
            await self._confirmed[channel].wait()

    async def drop_all_but(self, channels: set[str]) -> None:
        """Hear no channel that nobody needs; the first tells that Redis is there."""
        for channel in self._wanted - channels - {self._first}:
            self._wanted.discard(channel)
            if self._pubsub is not None:
                await self._pubsub.unsubscribe(channel)

    async def _subscribe(self, pubsub: PubSub, channel: str) -> None:
        self._confirmed[channel] = asyncio.Event()
        await pubsub.subscribe(channel)

    async def _hear(self, pubsub: PubSub) -> None:
        """Pass on announcements, until Redis has been silent for too long."""
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while loop.time() - heard_at < SILENCE_S:
            message = await pubsub.get_message(timeout=PING_S)
            if message is None:
                await pubsub.ping()
                continue
            await self._take(message)
            if self.connected or message["type"] != "pong":
                heard_at = loop.time()  # a pong does not mean that it still publishes
        raise TimeoutError("Redis is silent")

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "message":
            self._on_message(message["data"])
        elif message["type"] == "subscribe":
            # Also after redis-py has quietly connected again: there was a gap.
            channel = message["channel"].decode()
            await self._on_gap(channel)
            self.connected = self.connected or channel == self._first
            if channel in self._confirmed:
                self._confirmed[channel].set()
