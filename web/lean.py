"""An event and a queue for thousands of connections that are idle.

asyncio's own keep a deque of 760 bytes for each kind of waiter, also while nobody
waits: 4 KB for a connection. These make a set when somebody does.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Latch:
    """An asyncio.Event in the shape of Hypercorn's."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: set[asyncio.Future[None]] | None = None

    async def set(self) -> None:
        """Let everybody go on who waits."""
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


class Mailbox(Generic[T]):
    """An asyncio.Queue with as much as Hypercorn needs of it."""

    __slots__ = ("_has_mail", "_has_room", "_items", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: list[T] = []
        self._has_mail, self._has_room = Latch(), Latch()

    async def put(self, item: T) -> None:
        while len(self._items) >= self._most:
            await self._has_room.clear()
            await self._has_room.wait()
        self._items.append(item)
        await self._has_mail.set()

    async def get(self) -> T:
        while not self._items:
            await self._has_mail.clear()
            await self._has_mail.wait()
        item = self._items.pop(0)
        await self._has_room.set()
        return item
