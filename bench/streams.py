"""Many open streams at little cost: a stream reads only the age of each update.

Every update carries the time of its publishing in its `message`; nothing else is read.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

Kind = Literal["socket", "events"]

CONNECTING_AT_ONCE = 50
CONNECT_S = 120
_STAMP = re.compile(rb'"message":"at (\d+\.\d+)"')
_STAMP_BYTES = 64
_BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Cache-Control: no-cache\r\nPragma: no-cache\r\n"
)
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


def stamp() -> str:
    """The message of an update, from which a stream can tell its age."""
    return f"at {time.perf_counter():.6f}"


@dataclass(slots=True)
class Arrivals:
    """The ages of the updates that all streams received."""

    counting: bool = False
    ages_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Address:
    """The place of a stream, with the headers and the first frames that open it."""

    port: int
    path: str
    kind: Kind
    headers: str = ""
    first_frames: Sequence[str] = ()
    offers_deflate: bool = True  # as every browser does

    def request(self) -> bytes:
        """The request, as a browser sends it."""
        upgrade = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            f"{_DEFLATE if self.offers_deflate else ''}"
            if self.kind == "socket"
            else "Accept: text/event-stream\r\n"
        )
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"{_BROWSER}{upgrade}{self.headers}\r\n"
        ).encode()


class Stream(asyncio.Protocol):
    """One open stream."""

    def __init__(self, address: Address, arrivals: Arrivals) -> None:
        self._address = address
        self._arrivals = arrivals
        self._rest = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.transport.write(self._address.request())

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self._open(data)
        now = time.perf_counter()
        data = self._rest + data
        end = 0
        for found in _STAMP.finditer(data):
            end = found.end()
            if self._arrivals.counting:
                self._arrivals.ages_ms.append((now - float(found[1])) * 1000)
        self._rest = data[max(end, len(data) - _STAMP_BYTES) :]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("It was closed at once."))

    def _open(self, data: bytes) -> None:
        status = data.split(b"\r\n", 1)[0]
        if b" 101 " not in status and b" 200" not in status:
            self.opened.set_exception(ConnectionError(status.decode()))
            return
        for frame in self._address.first_frames:
            self.transport.write(_text_frame(frame.encode()))
        self.opened.set_result(None)


async def connect(address: Address, count: int, arrivals: Arrivals) -> list[Stream]:
    """Open a number of streams, fifty at a time."""
    places = asyncio.Semaphore(CONNECTING_AT_ONCE)
    loop = asyncio.get_running_loop()

    async def one() -> Stream:
        async with places:
            _, stream = await loop.create_connection(
                lambda: Stream(address, arrivals), "127.0.0.1", address.port
            )
            await stream.opened
            return stream

    async with asyncio.timeout(CONNECT_S):
        return await asyncio.gather(*(one() for _ in range(count)))


def close(streams: Sequence[Stream]) -> None:
    for stream in streams:
        stream.transport.abort()


def _text_frame(text: bytes) -> bytes:
    """A masked text frame (RFC 6455 §5.2); a mask of zeros leaves it readable."""
    length = (
        bytes([0x80 | len(text)])
        if len(text) < 126
        else b"\xfe" + len(text).to_bytes(2, "big")
    )
    return b"\x81" + length + b"\0\0\0\0" + text
