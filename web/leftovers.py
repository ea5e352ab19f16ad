"""What a client still sends when its WebSocket has ended is read and dropped.

Hypercorn hands over what comes through a queue of ten, and where nobody takes from it
any more, the connection waits there for ever.
"""

from __future__ import annotations

import asyncio

from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    Scope,
)


class Leftovers:
    """ASGI middleware that reads to the end for an app that does not."""

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app
        self._reading: set[asyncio.Task[None]] = set()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "websocket":
            return await self._app(scope, receive, send)
        client = Client(receive)
        try:
            await self._app(scope, client.receive, send)
        finally:
            task = asyncio.create_task(client.read_on())
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)


class Client:
    """What comes from one client, and whether it has gone."""

    def __init__(self, receive: ASGIReceiveCallable) -> None:
        self._receive = receive
        self._gone = False

    async def receive(self) -> ASGIReceiveEvent:
        event = await self._receive()
        self._gone = event["type"] == "websocket.disconnect"
        return event

    async def read_on(self) -> None:
        while not self._gone:
            await self.receive()
