"""ASGI middleware: streams that Quart opens, and that then go on without it.

For as long as a request lasts Quart keeps tasks, queues, contexts and copies of the
headers for it: half the cost of an idle stream. So a route answers as always, and gives
its connection a sequel: the code that runs on it after Quart has finished.
"""

from __future__ import annotations

import asyncio
from typing import cast

from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    Scope,
)

from web.http.request_log import identify

from .connection import SCOPE_KEY, Connection, forget_headers


class Handover:
    """Gives each request its connection, and runs the sequel on it."""

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app
        self._reading: set[asyncio.Task[None]] = set()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        identify(scope["headers"])
        connection = Connection(scope, receive, send)
        is_socket = scope["type"] == "websocket"
        opening = cast(Scope, {**scope, SCOPE_KEY: connection})
        try:
            await self._app(
                opening,
                _only_connect(connection) if is_socket else connection.receive,
                connection.send_opening,
            )
            if connection.sequel and not connection.has_gone:
                del opening
                forget_headers(scope["headers"])
                if is_socket:  # which the server has logged by now
                    cast(dict[str, object], scope).clear()
                await connection.sequel()
        finally:
            if is_socket:
                self._let_go(connection)

    def _let_go(self, connection: Connection) -> None:
        task = asyncio.create_task(connection.read_on())
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)


def _only_connect(connection: Connection) -> ASGIReceiveCallable:
    """Return the part of a WebSocket that Quart may read: only that it connects."""
    is_connected = False

    async def receive() -> ASGIReceiveEvent:
        nonlocal is_connected
        if is_connected:
            await asyncio.get_running_loop().create_future()
        is_connected = True
        return await connection.receive()

    return receive
