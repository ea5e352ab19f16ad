"""Streams that Quart opens, and that then go on without it.

For as long as a request lasts Quart keeps tasks, queues, contexts and copies of the
headers for it: half of what an idle stream cost. So a route answers as always, and
leaves with its connection what is to follow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

SCOPE_KEY = "progrock.line"
_LAST = {"http.response.body", "websocket.close"}


class Over(Exception):  # noqa: N818  # no error, and this is how a group is ended
    """What follows on a line is over; with a code where a socket is to be closed."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code


class Line:
    """One client's connection in ASGI's messages, and what follows on it."""

    __slots__ = ("_receive", "has_gone", "send", "sequel")

    def __init__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        self._receive = receive
        self.send = send
        self.has_gone = False
        # What is done on the line when Quart is done with it.
        self.sequel: Callable[[], Awaitable[None]] | None = None

    async def receive(self) -> ASGIReceiveEvent:
        event = await self._receive()
        self.has_gone = event["type"].endswith(".disconnect")
        return event

    async def read_on(self) -> None:
        """Read to the end.

        Hypercorn hands over what comes through a queue of ten, and where nobody takes
        from it any more, the connection waits there for ever.
        """
        while not self.has_gone:
            await self.receive()

    async def send_opening(self, event: ASGISendEvent) -> None:
        """Send what Quart does, but not that this is all."""
        is_last = event["type"] in _LAST and not event.get("more_body")
        if not (is_last and self.sequel):
            await self.send(event)
        if self.sequel and event["type"] == "http.response.start":
            _forget(event["headers"])


class Handover:
    """ASGI middleware that gives each request its line, and what follows on it."""

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app
        self._reading: set[asyncio.Task[None]] = set()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        line = Line(receive, send)
        is_socket = scope["type"] == "websocket"
        opening = cast(Scope, {**scope, SCOPE_KEY: line})
        try:
            await self._app(
                opening,
                _only_connect(line) if is_socket else line.receive,
                line.send_opening,
            )
            if line.sequel and not line.has_gone:
                del opening
                _forget(scope["headers"])
                if is_socket:  # which the server has logged by now
                    cast(dict[str, object], scope).clear()
                await line.sequel()
        finally:
            if is_socket:
                self._let_go(line)

    def _let_go(self, line: Line) -> None:
        task = asyncio.create_task(line.read_on())
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)


def _forget(headers: object) -> None:
    """Headers have been read by now; the server keeps them as long as the stream."""
    cast(list[object], headers).clear()


def line_of(scope: Mapping[str, Any]) -> Line:
    """The line under a request."""
    line = scope[SCOPE_KEY]
    assert isinstance(line, Line)
    return line


def _only_connect(line: Line) -> ASGIReceiveCallable:
    """What Quart may read of a WebSocket; what its client says is for what follows."""
    is_connected = False

    async def receive() -> ASGIReceiveEvent:
        nonlocal is_connected
        if is_connected:
            await asyncio.get_running_loop().create_future()
        is_connected = True
        return await line.receive()

    return receive
