"""A subscription to channels of the feed, on each node of Redis that has one of them.

A Redis that was cut off from the others goes on to answer, and announces nothing
(https://github.com/redis/go-redis/issues/583). So workers announce that they are here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError, RedisError, TimeoutError

from .ears import Ears
from .sounding import Sounding

PING_S = 2.0  # a silent Redis is asked if it is there
SILENCE_S = 5.0  # and taken for lost if it does not answer
CUT_OFF_S = 3.0  # without an announcement, after there were some
ALONE_S = 30.0  # without any: there may be no worker

Take = Callable[[str, bytes, bytes], Awaitable[None]]

_KINDS = {
    **dict.fromkeys(("message", "smessage"), "news"),
    **dict.fromkeys(("subscribe", "ssubscribe"), "begun"),
    **dict.fromkeys(("unsubscribe", "sunsubscribe"), "over"),
}


class CutOffError(ConnectionError):
    """Redis answers, but announces nothing any more."""


class Feed:
    """Channels that are heard until the connection to one of their nodes is lost.

    `take` is called with "begun" or "news", the channel, and the news.
    """

    def __init__(self, ears: Ears, take: Take) -> None:
        self._ears = ears
        self._take = take
        self._nodes: dict[str, str] = {}  # of the channels
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def subscribe(self, channel: str) -> None:
        """Hear a channel; "begun" tells when."""
        node = await self._ears.node_of(channel)
        self._nodes[channel] = node
        ear = await self._ears.subscribe(node, channel)
        if node not in self._tasks:
            self._tasks[node] = asyncio.create_task(self._try_to_hear(ear))

    async def unsubscribe(self, channel: str) -> None:
        """Hear a channel no longer; that is sent before any later subscription."""
        if node := self._nodes.pop(channel, None):
            await self._ears.unsubscribe(node, channel)

    async def lost(self) -> None:
        """Wait until a connection is lost; raises the reason."""
        await self._lost

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._ears.close()
        if self._lost.done():
            self._lost.exception()  # it need not be logged as well

    async def _try_to_hear(self, ear: PubSub) -> None:
        try:
            await self._hear(ear)
        except Exception as error:
            if not self._lost.done():
                self._lost.set_exception(error)

    async def _hear(self, ear: PubSub) -> None:
        """Pass messages on, until Redis has been silent for too long."""
        clock = asyncio.get_running_loop().time
        heard_at, told_at, patience_s = clock(), clock(), ALONE_S
        has_begun, sounding = False, Sounding(ear)
        while clock() - heard_at < SILENCE_S:
            message = await ear.get_message(timeout=PING_S)
            if clock() - told_at > patience_s:
                raise CutOffError("Redis announces nothing any more")
            await sounding.ask(is_silent=message is None)
            if message is None:
                continue
            sounding.hear(message["type"])
            kind = _KINDS.get(message["type"])
            if kind:
                await self._heard(kind, message)
            if kind == "news":
                told_at, patience_s = clock(), CUT_OFF_S
            has_begun = has_begun or kind == "begun"
            if has_begun:
                heard_at = clock()  # a pong does not mean that it announces anything
        raise TimeoutError("Redis is silent")

    async def _heard(self, kind: str, message: dict[str, Any]) -> None:
        channel: bytes = message["channel"]
        if kind != "over":
            await self._take(kind, channel, message["data"])
        elif channel.decode() in self._nodes:
            raise RedisError("the channel has moved to another node")
