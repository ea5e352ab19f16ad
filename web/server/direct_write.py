"""The shortest way to a client: bytes straight to its socket, where nothing waits.

Most of what an update costs on its way through Quart and Hypercorn is the way: a task
that wakes, four layers, a lock. While a client keeps up, the hub writes what those
layers would have written in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

SCOPE_KEY = "progrock.wire"


class Wire:
    """A client's connection."""

    __slots__ = ("_is_shut", "_transport")

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._transport = writer.transport
        self._is_shut = False

    def __deepcopy__(self, memo: object) -> Wire:
        """Middleware may copy the scope that it lies in; there is but one."""
        return self

    def write(self, data: bytes) -> bool:
        """Write `data`, unless something still waits; tells whether it did."""
        transport = self._transport
        if self._is_shut or transport.get_write_buffer_size() or transport.is_closing():
            return False
        transport.write(data)
        return True

    def shut(self) -> None:
        """Write no more: nothing may follow a WebSocket's close frame."""
        self._is_shut = True


def wire_of(scope: Mapping[str, Any]) -> Wire | None:
    """The wire under a request; None where several share one, or in a test client."""
    wire = scope.get("state", {}).get(SCOPE_KEY)
    is_alone = scope["http_version"] == "1.1"
    return wire if is_alone and isinstance(wire, Wire) else None


def chunk(data: bytes) -> bytes:
    """A part of a body of unknown length (RFC 9112 §7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def text_frame(text: bytes) -> bytes:
    """A WebSocket frame from a server that has agreed to no extension."""
    connection = Connection(ConnectionType.SERVER)
    return connection.send(TextMessage(data=text.decode()))
