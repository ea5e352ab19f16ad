"""The subscription to the feed: it is renewed after every loss of Redis."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from actors import Store

PING_S = 2.0  # a silent Redis is asked if it is there
SILENCE_S = 5.0  # and taken for lost if it does not answer
RETRY_S = 0.5

logger = logging.getLogger(__name__)


class Follower:
    """Hears what the workers announce.

    `on_message` is called with each message. `on_gap` is called after each beginning of
    the subscription, for until then nothing was heard.
    """

    def __init__(
        self,
        store: Store,
        on_message: Callable[[bytes], None],
        on_gap: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._on_message = on_message
        self._on_gap = on_gap
        self.connected = False

    async def follow(self) -> None:
        """Pass on announcements, for as long as one connection to Redis lasts."""
        try:
            async with self._store.listen() as pubsub:
                await self._hear(pubsub)
        except (RedisError, OSError) as error:
            if self.connected:
                logger.warning("The feed has lost Redis: %s.", error)
        finally:
            self.connected = False
        await asyncio.sleep(RETRY_S * random.uniform(0.2, 1))

    async def _hear(self, pubsub: PubSub) -> None:
        """Pass on announcements, until Redis has been silent for too long."""
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while loop.time() - heard_at < SILENCE_S:
            message = await pubsub.get_message(timeout=PING_S)
            if message is None:
                await pubsub.ping()
                continue
            if message["type"] == "message":
                self._on_message(message["data"])
            elif message["type"] == "subscribe":
                # Also after redis-py has quietly connected again: there was a gap.
                await self._on_gap()
                self.connected = True
            if self.connected or message["type"] != "pong":
                heard_at = loop.time()  # a pong does not mean that it still publishes
        raise TimeoutError("Redis is silent")
