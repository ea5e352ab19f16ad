"""Watchers of one job, one for each transport, which reconnect as real clients do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic

import aiohttp
import msgspec

from .heard import Heard
from .ledger import Ledger, Reader, Snapshot
from .verdict import Outcome

RETRY_S = 0.5
EVENT_SOURCE_RETRY_S = 1.0
SILENCE_S = 45  # two heartbeats are missing
CONNECT_S = 5


class Frame(msgspec.Struct):
    """The fields that tell the kinds of frames on the socket apart."""

    job: str | None = None
    revision: int | None = None
    error: dict[str, str] | None = None
    reconnect_in_ms: int | None = None


_frame = msgspec.json.Decoder(Frame).decode


class Watcher:
    """Follows one job until its end."""

    transport = ""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, job: str, ledger: Ledger
    ) -> None:
        self.outcome: Outcome = "watching"
        self.job = job
        self.last: Snapshot | None = None
        self.heard = Heard(monotonic())  # the job has just been accepted
        self._session = session
        self._url = url
        self._ledger = ledger
        self._reader = Reader(self.transport)

    async def watch(self, patience_s: float) -> None:
        """Listen until the job's end, or until the patience is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._keep_listening()
        if self.outcome == "watching":
            self.outcome = "lost"

    async def _keep_listening(self) -> None:
        while self.outcome == "watching":
            pause_s = RETRY_S
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                pause_s = await self._listen()
            if self.outcome == "watching":
                self._reader.reconnected()
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))

    async def _listen(self) -> float:
        """Read one connection to its end; returns the pause before the next, in s."""
        raise NotImplementedError

    @property
    def _revision(self) -> int:
        return self.last.revision if self.last else 0

    def _hear(self, data: bytes) -> None:
        self.heard.note()
        self.last = self._ledger.read(self._reader, data)

    def _end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.heard.end()


class SocketWatcher(Watcher):
    """Watches over WebSocket."""

    transport = "WebSocket"

    async def _listen(self) -> float:
        patience = aiohttp.ClientWSTimeout(ws_close=1)
        async with (
            asyncio.timeout(None) as limit,
            self._session.ws_connect(f"{self._url}/prog/", timeout=patience) as socket,
        ):
            ask = {"action": "watch", "job": self.job, "after": self._revision}
            await socket.send_json(ask)
            loop = asyncio.get_running_loop()
            limit.reschedule(loop.time() + SILENCE_S)
            async for message in socket:
                limit.reschedule(loop.time() + SILENCE_S)
                pause_s = self._read(message.data)
                if pause_s is not None:
                    return pause_s
        return RETRY_S

    def _read(self, text: str) -> float | None:
        """Read a frame; returns a pause if the frame ends the connection."""
        frame = _frame(text)
        if frame.reconnect_in_ms is not None:
            return frame.reconnect_in_ms / 1000
        if frame.error and not frame.revision:  # a failed job has an error too
            if frame.error["code"] == "unknown_job":
                self._end("gone")
            return RETRY_S
        if frame.revision:
            self._hear(text.encode())
        if self.last and self.last.finished:
            self._end("ended")
            return 0
        return None


class EventsWatcher(Watcher):
    """Watches over Server-Sent Events, by the rules of EventSource."""

    transport = "SSE"

    def __init__(
        self, session: aiohttp.ClientSession, url: str, job: str, ledger: Ledger
    ) -> None:
        super().__init__(session, url, job, ledger)
        self._retry_s = EVENT_SOURCE_RETRY_S
        self._last_event_id = ""

    async def _listen(self) -> float:
        patience = aiohttp.ClientTimeout(
            None, sock_connect=CONNECT_S, sock_read=SILENCE_S
        )
        headers = {"Last-Event-ID": self._last_event_id} if self._last_event_id else {}
        async with self._session.get(
            f"{self._url}/events",
            params={"job": self.job},
            headers=headers,
            timeout=patience,
        ) as answer:
            if answer.status == 404:
                self._end("gone")
            if answer.status == 204:
                self._end("ended")
            if answer.status == 200:
                async for event, data in self._events(answer.content):
                    self._read(event, data)
        return self._retry_s

    def _read(self, event: str, data: bytes) -> None:
        if event == "message":
            self._hear(data)
        if event == "gone":
            self._end("gone")
        if event == "end" and self.outcome == "watching":
            self._end("ended")

    async def _events(
        self, lines: aiohttp.StreamReader
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Yield name and data of each complete event."""
        event, data = "message", b""
        async for line in lines:
            field, _, value = line.rstrip(b"\n").partition(b": ")
            if field == b"retry":
                self._retry_s = int(value) / 1000
            elif field == b"id":
                self._last_event_id = value.decode()
            elif field == b"event":
                event = value.decode()
            elif field == b"data":
                data = value
            elif not field and data:
                yield event, data
                event, data = "message", b""
