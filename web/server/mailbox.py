"""An event and a queue like asyncio's, for thousands of connections that are idle.

asyncio's own keep a deque of 760 bytes for each kind of waiter, also while nobody
waits: 4 KB for a connection. These make a set when the first one waits.
"""

from __future__ import annotations

import asyncio

from hypercorn.typing import ASGIReceiveEvent


class Latch:
    """An asyncio.Event with the interface of Hypercorn's."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: set[asyncio.Future[None]] | None = None

    async def set(self) -> None:
        """Wake every waiter."""
        self._is_set = True
        everybody, self._waiting = self._waiting or (), None
        for waiting in everybody:
            if not waiting.done():
                waiting.set_result(None)

    async def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> None:
        if self._is_set:
            return
        if self._waiting is None:
            self._waiting = set()
        everybody, mine = self._waiting, asyncio.get_running_loop().create_future()
        everybody.add(mine)
        try:
            await mine
        finally:
            everybody.discard(mine)

    def is_set(self) -> bool:
        return self._is_set


class Mailbox:
    """A bounded asyncio.Queue of one client's events, which ends when the client does.

    The client's leaving must not wait for room: the application may be waiting for it.
    """

    __slots__ = ("_events", "_has_left", "_has_mail", "_has_room", "_max_events")

    def __init__(self, max_events: int) -> None:
        self._max_events = max_events
        self._events: list[ASGIReceiveEvent] = []
        self._has_left = False
        self._has_mail, self._has_room = Latch(), Latch()

    async def put(self, event: ASGIReceiveEvent) -> None:
        if event["type"].endswith(".disconnect"):
            self._has_left = True
            await self._has_room.set()
        else:
            await self._wait_for_room()
            if self._has_left:
                return
        self._events.append(event)
        await self._has_mail.set()

    async def get(self) -> ASGIReceiveEvent:
        while not self._events:
            await self._has_mail.clear()
            await self._has_mail.wait()
        event = self._events.pop(0)
        await self._has_room.set()
        return event

    async def _wait_for_room(self) -> None:
        while len(self._events) >= self._max_events and not self._has_left:
            await self._has_room.clear()
            await self._has_room.wait()
