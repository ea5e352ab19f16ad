"""A reader of Redis's own channel, which carries every revision of every job."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.store.values import announced

from .ledger import Ledger, Reader

RETRY_S = 0.05


class Recorder:
    """Reads the channel; if it loses Redis, it subscribes again."""

    def __init__(self, redis_url: str, ledger: Ledger) -> None:
        self._url = redis_url
        self._ledger = ledger
        self._reader = Reader("the channel", recorder=True)
        self.finished: dict[str, bool] = {}

    async def record(self) -> None:
        """Read for ever."""
        while True:
            try:
                await self._read()
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_S)

    async def _read(self) -> None:
        # redis-py reconnects a pub/sub silently; its new "subscribe" message tells us.
        async with (
            Redis.from_url(self._url, protocol=2) as redis,
            redis.pubsub() as channel,
        ):
            await channel.subscribe("progrock:2:feed")
            while True:
                message = await channel.get_message(timeout=1)
                if message and message["type"] == "subscribe":
                    self._reader.reconnected()
                if message and message["type"] == "message":
                    self._note(message["data"])

    def _note(self, payload: bytes) -> None:
        for announcement in announced(payload):
            snapshot = self._ledger.read(self._reader, announcement.data)
            self.finished[snapshot.job] = snapshot.finished
