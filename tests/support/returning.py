"""A watcher that comes back where it was when it is cut off, over either transport."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from .jobs import ALICE

PAUSE_S = 0.1  # where nobody said when to come back


@dataclass
class Returning:
    """One watcher of one job, and its fate."""

    url: str
    job: str
    revisions: list[int] = field(default_factory=list)
    finished: bool = False
    visits: int = 0
    refusals: int = 0
    close_code: int | None = None
    told_to_leave_ms: int | None = None
    left_at_s: float | None = None
    back_at_s: list[float] = field(default_factory=list)
    away_s: list[float] = field(default_factory=list)

    async def stay(self, session: aiohttp.ClientSession) -> None:
        """Watch to the end, however often it is cut off."""
        while not self.finished:
            try:
                await self.visit(session)
            except (aiohttp.ClientError, OSError):
                self.refusals += 1
            self.left_at_s = self.left_at_s or time.monotonic()
            pause_ms, self.told_to_leave_ms = self.told_to_leave_ms, None
            await asyncio.sleep(PAUSE_S if pause_ms is None else pause_ms / 1000)

    async def visit(self, session: aiohttp.ClientSession) -> None:
        """Watch until the stream ends."""
        raise NotImplementedError

    def _arrive(self) -> None:
        self.visits += 1
        if self.left_at_s is not None:
            self.back_at_s.append(time.monotonic())
            self.away_s.append(time.monotonic() - self.left_at_s)
        self.left_at_s = None

    def _hear(self, text: str) -> None:
        snapshot = json.loads(text)
        assert not self.revisions or snapshot["revision"] > self.revisions[-1]
        self.revisions.append(snapshot["revision"])
        self.finished = snapshot["finished"]


class OverSocket(Returning):
    async def visit(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{self.url}/prog/", headers=ALICE) as socket:
            assert await socket.receive_json() == {"accept": True}
            self._arrive()
            after = self.revisions[-1] if self.revisions else 0
            await socket.send_json({"action": "watch", "job": self.job, "after": after})
            async for message in socket:
                said = json.loads(message.data)
                if "revision" in said:
                    self._hear(message.data)
                if self.finished:
                    return
                self.told_to_leave_ms = said.get("reconnect_in_ms")
            self.close_code = socket.close_code
            self.left_at_s = time.monotonic()


class OverEvents(Returning):
    last_id = ""

    async def visit(self, session: aiohttp.ClientSession) -> None:
        url = f"{self.url}/events?job={self.job}"
        headers = {**ALICE, "Last-Event-ID": self.last_id}
        async with session.get(url, headers=headers) as answer:
            answer.raise_for_status()
            self._arrive()
            self.finished = self.finished or answer.status == 204
            async for line in answer.content:
                name, _, value = line.decode().strip().partition(": ")
                match name:
                    case "data" if "revision" in value:
                        self._hear(value)
                    case "id":
                        self.last_id = value
                    case "retry":
                        self.told_to_leave_ms = int(value)
            self.left_at_s = time.monotonic()


@asynccontextmanager
async def many(
    kinds: list[Callable[[str, str], Returning]], each: int, url: str, job: str
) -> AsyncIterator[tuple[list[Returning], aiohttp.ClientSession]]:
    """A number of watchers of each kind, which share a session without limits."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
    ) as session:
        yield [kind(url, job) for kind in kinds for _ in range(each)], session
