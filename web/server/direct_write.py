"""The shortest way to a client: bytes straight to its transport if nothing waits there.

Most of an update's cost is the path through Quart and Hypercorn: a task that wakes,
four layers, a lock. While a client keeps up, the hub writes the same bytes
that those layers would have written in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

STATE_KEY = "progrock.direct_write"


class DirectWrite:
    """The transport of one connection."""

    __slots__ = ("_is_shut", "_transport")

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._transport = writer.transport
        self._is_shut = False

    def __deepcopy__(self, memo: object) -> DirectWrite:
        """Middleware may copy the scope that holds it; there is one connection."""
        return self

    def write(self, data: bytes) -> bool:
        """Write `data` and return True, or return False if something still waits."""
        transport = self._transport
        if self._is_shut or transport.get_write_buffer_size() or transport.is_closing():
            return False
        transport.write(data)
        return True

    def shut(self) -> None:
        """Write no more: nothing may follow a WebSocket's close frame."""
        self._is_shut = True


def direct_write_of(scope: Mapping[str, Any]) -> DirectWrite | None:
    """Return the direct write of a request's connection.

    None if several requests share the connection, or in a test client.
    """
    found = scope.get("state", {}).get(STATE_KEY)
    is_alone = scope["http_version"] == "1.1"
    return found if is_alone and isinstance(found, DirectWrite) else None


def chunk(data: bytes) -> bytes:
    """A part of a body of unknown length (RFC 9112 §7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def text_frame(text: bytes) -> bytes:
    """A WebSocket frame from a server that has agreed to no extension."""
    connection = Connection(ConnectionType.SERVER)
    return connection.send(TextMessage(data=text.decode()))
