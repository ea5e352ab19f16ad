"""How far this process is behind in the feed from Redis."""

from __future__ import annotations

from time import monotonic

from redis.asyncio.client import PubSub

from actors.telemetry.work import FEED_LAG_S

AGAIN_S = 2.0


class Sounding:
    """Pings on the feed's own connection.

    Redis answers behind all lines that wait there, so the answer is as late as they.
    """

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        self._asked_at = monotonic()
        self._is_asked = False

    async def ask(self, *, is_silent: bool) -> None:
        """Ping if Redis is silent or it is time; not while an answer is on its way."""
        now = monotonic()
        if not self._is_asked and (is_silent or now - self._asked_at > AGAIN_S):
            self._asked_at, self._is_asked = now, True
            await self._pubsub.ping()

    def hear(self, kind: str) -> None:
        """Note a message: an answer, or that the connection is a new one."""
        if kind == "pong" and self._is_asked:
            FEED_LAG_S[()].see(monotonic() - self._asked_at)
        if kind in ("pong", "subscribe", "ssubscribe"):
            self._is_asked = False
