"""Readers as they come: bare sockets that read when they like, and decent watchers."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import httpx
import websockets
from httpx_sse import aconnect_sse

from .jobs import ALICE
from .site import TOKEN, Web

SMALL_BUFFER = 4096
TEXT, PING, PONG = 0x81, 0x89, 0x8A  # the first byte of a frame (RFC 6455 §5.2)
FRAGMENT = 0x00


def events(web: Web, job: str) -> socket.socket:
    """Ask for a job's events, and read nothing."""
    reader = _connected(web)
    reader.sendall(_request(f"/events?job={job}"))
    return reader


def waiting(web: Web, job: str) -> socket.socket:
    """Wait for a job's next change by long poll."""
    reader = _connected(web)
    reader.sendall(_request(f"/jobs/{job}?after=1&wait=25"))
    return reader


def watching(web: Web, job: str) -> socket.socket:
    """Watch a job over a WebSocket, and read nothing but the handshake."""
    reader = shaken(web)
    reader.sendall(frame(json.dumps({"action": "watch", "job": job})))
    return reader


def clumsy(web: Web) -> socket.socket:
    """Ask for a WebSocket of another time, and go on."""
    reader = _connected(web)
    handshake = _handshake().replace(b"Version: 13", b"Version: 12")
    reader.sendall(handshake + frame('{"action": "ping"}'))
    return reader


def hasty(web: Web, job: str) -> socket.socket:
    """Watch a job over a WebSocket without waiting for the handshake's answer."""
    reader = _connected(web)
    watch = frame(json.dumps({"action": "watch", "job": job}))
    reader.sendall(_handshake() + watch + 100 * frame('{"action": "ping"}'))
    return reader


def shaken(web: Web) -> socket.socket:
    """A WebSocket after its handshake."""
    reader = _connected(web)
    reader.sendall(_handshake())
    head = b""
    while b"\r\n\r\n" not in head:
        head += reader.recv(1)
    assert head.startswith(b"HTTP/1.1 101")
    return reader


def frame(data: str | bytes, head: int = TEXT) -> bytes:
    """One frame of a client, with a mask that changes nothing."""
    payload = data.encode() if isinstance(data, str) else data
    return frame_head(len(payload), head) + payload


def frame_head(length: int, head: int = TEXT) -> bytes:
    if length < 126:
        return struct.pack("!BBI", head, 0x80 | length, 0)
    return struct.pack("!BBQI", head, 0x80 | 127, length, 0)


def close_code(reader: socket.socket) -> int:
    """Read on to the close frame; returns its code."""
    with reader.makefile("rb") as stream:
        return _close_code(stream)


def last_words(reader: socket.socket) -> tuple[int, bytes]:
    """Read to the end; returns the close frame's code, and the bytes after it."""
    with reader.makefile("rb") as stream:
        return _close_code(stream), stream.read()


def answer(reader: socket.socket) -> bytes:
    """Read to the end."""
    with reader.makefile("rb") as stream:
        return stream.read()


def _close_code(stream: BinaryIO) -> int:
    while True:
        opcode, length = stream.read(2)
        if length == 126:
            (length,) = struct.unpack("!H", stream.read(2))
        payload = stream.read(length)
        if opcode == 0x88:
            code: int = struct.unpack("!H", payload[:2])[0]
            return code


def _handshake() -> bytes:
    return _request(
        "/prog/",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
    )


@dataclass
class Watcher:
    """A decent reader: the snapshots that it was told, and when."""

    told: list[dict[str, Any]] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)

    def hear(self, snapshot: dict[str, Any]) -> None:
        if self.told:
            assert snapshot["revision"] > self.told[-1]["revision"]
        self.told.append(snapshot)
        self.at_s.append(time.monotonic())

    async def has_heard(self, revision: int) -> None:
        """Return as soon as so new a snapshot has come."""
        while not (self.told and self.told[-1]["revision"] >= revision):
            await asyncio.sleep(0.002)

    @property
    def gaps_s(self) -> list[float]:
        return [b - a for a, b in zip(self.at_s, self.at_s[1:], strict=False)]

    @property
    def saw_the_end(self) -> bool:
        return bool(self.told) and self.told[-1]["finished"] is True

    async def watch(self, web: Web, job: str) -> None:
        """Read a job's snapshots over WebSocket to the end."""
        async with websockets.connect(
            web.socket_url, additional_headers=ALICE
        ) as connection:
            await connection.recv()
            await connection.send(json.dumps({"action": "watch", "job": job}))
            while not self.saw_the_end:
                self.hear(json.loads(await connection.recv()))

    async def follow(self, web: Web, job: str) -> None:
        """Read a job's events to the end."""
        path = f"/events?job={job}"
        async with (
            httpx.AsyncClient(base_url=web.url, trust_env=False, timeout=40) as client,
            aconnect_sse(client, "GET", path, headers=dict(ALICE)) as source,
        ):
            async for event in source.aiter_sse():
                if event.event == "message":
                    self.hear(json.loads(event.data))


async def read_slowly(reader: socket.socket, size: int, pause_s: float) -> bytes:
    """Read at that pace until the answer is over; returns all."""
    loop = asyncio.get_running_loop()
    reader.setblocking(False)
    read = b""
    while not read.endswith(b"\r\n0\r\n\r\n"):
        try:
            piece = await loop.sock_recv(reader, size)
        except OSError:
            return read
        if not piece:
            return read
        read += piece
        await asyncio.sleep(pause_s)
    return read


def _connected(web: Web) -> socket.socket:
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    reader.settimeout(10)
    reader.connect(("127.0.0.1", web.port))
    return reader


def _request(path: str, *headers: str) -> bytes:
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {TOKEN}",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode()
