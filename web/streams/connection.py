"""One client's ASGI connection, with the direct write behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
)

from web.server.direct_write import direct_write_of

SCOPE_KEY = "progrock.connection"
_LAST = {"http.response.body", "websocket.close"}


class Connection:
    """Receives and sends ASGI messages, and can write past them.

    `sequel` runs on the connection after Quart has finished.
    """

    __slots__ = ("_direct", "_receive", "has_gone", "send", "sequel")

    def __init__(
        self,
        scope: Mapping[str, Any],
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        self._direct = direct_write_of(scope)
        self._receive = receive
        self.send = send
        self.has_gone = False
        self.sequel: Callable[[], Awaitable[None]] | None = None

    async def receive(self) -> ASGIReceiveEvent:
        event = await self._receive()
        self.has_gone = event["type"].endswith(".disconnect")
        return event

    async def read_on(self) -> None:
        """Read until the client is gone, and ignore it.

        Hypercorn hands events over through a queue of ten; if nobody takes from it any
        more, the connection waits there for ever.
        """
        while not self.has_gone:
            await self.receive()

    def write_now(self, data: bytes) -> bool:
        """Write bytes past ASGI and return True, or return False if that cannot be."""
        return self._direct is not None and self._direct.write(data)

    async def send_opening(self, event: ASGISendEvent) -> None:
        """Send Quart's answer, but keep it open if a sequel follows."""
        is_last = event["type"] in _LAST and not event.get("more_body")
        if not (is_last and self.sequel):
            await self.send(event)
        if self.sequel and event["type"] == "http.response.start":
            forget_headers(event["headers"])


def forget_headers(headers: Any) -> None:
    """Drop headers that have been read; the server keeps them as long as the stream."""
    headers.clear()


def connection_of(scope: Mapping[str, Any]) -> Connection:
    """The connection under a request."""
    connection = scope[SCOPE_KEY]
    assert isinstance(connection, Connection)
    return connection
