"""A proxy before the demo service, which can cut, refuse, hang or be slow.

The service behind it keeps its jobs meanwhile. Every poll passes the proxy, so the
proxy also notes the polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from typing import Any, Literal

import aiohttp
import msgspec
from aiohttp import web

from dev.redis import free_port

from .polls import Polls
from .verdict import Excuses

Mood = Literal["good", "failing", "hanging"]

PASSED_ON = ("Content-Type", "Location", "Retry-After")
BACKLOG = 1024


class Proxy:
    """A server that passes requests on, unless its mood is bad."""

    def __init__(self, excuses: Excuses) -> None:
        self._excuses = excuses
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.demo_url = ""
        self.mood: Mood = "good"
        self.slow_s = 0.0
        self.polls = Polls()
        self.in_hand: set[int] = set()  # the callers' ports of polls under way
        self._jobs: dict[str, str] = {}  # the job behind each counter
        self._site: web.BaseSite | None = None

    @asynccontextmanager
    async def serving(self, demo_url: str) -> AsyncIterator[None]:
        """Serve while the context is open."""
        self.demo_url = demo_url
        server = web.Server(self._answer, handler_cancellation=True, access_log=None)
        self._server, self._runner = server, web.ServerRunner(server)
        await self._runner.setup()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as self._session:
            await self.open()
            yield
            await self.close()
            await self._runner.cleanup()

    @asynccontextmanager
    async def troubled(self) -> AsyncIterator[None]:
        """Excuse jobs that fail to start in this context."""
        self._excuses.backend_troubled_at = inf
        try:
            yield
        finally:
            self._excuses.backend_troubled_at = monotonic()

    async def open(self) -> None:
        """Accept connections."""
        self._site = web.TCPSite(
            self._runner, "127.0.0.1", self.port, backlog=BACKLOG, reuse_address=True
        )
        await self._site.start()

    async def close(self) -> None:
        """Refuse new connections and cut the open ones."""
        if self._site:
            await self._site.stop()
            self._site = None
        self.cut()

    def cut(self) -> None:
        """Cut all connections that are open."""
        for connection in self._server.connections:
            _cut(connection.transport)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.mood == "hanging":
            await asyncio.Event().wait()  # until the caller gives up
        if self.mood == "failing":
            return web.Response(status=500, text="This is a fault.")
        job = self._jobs.get(request.path.removeprefix("/counters/"))
        if request.method != "GET" or job is None:
            return await self._pass_on(request)
        begun, port = monotonic(), _port(request)
        self.in_hand.add(port)
        try:
            await asyncio.sleep(self.slow_s)
            return await self._pass_on(request)
        finally:
            self.in_hand.discard(port)
            self.polls.note(job, begun, monotonic())

    async def _pass_on(self, request: web.BaseRequest) -> web.Response:
        try:
            async with self._session.request(
                request.method,
                f"{self.demo_url}{request.raw_path}",
                data=await request.read(),
                headers=_order_headers(request),
            ) as answer:
                body = await answer.read()
        except aiohttp.ClientError:
            _cut(request.transport)
            return web.Response(status=502)  # the caller is gone and never reads it
        if request.method == "POST":
            self._note_start(request, body)
        kept = {k: answer.headers[k] for k in PASSED_ON if k in answer.headers}
        return web.Response(status=answer.status, body=body, headers=kept)

    def _note_start(self, request: web.BaseRequest, body: bytes) -> None:
        counter = msgspec.json.decode(body).get("id")
        self._jobs[counter] = request.headers.get("Idempotency-Key", "")


def _order_headers(request: web.BaseRequest) -> dict[str, str]:
    wanted = ("Content-Type", "Idempotency-Key")
    return {k: request.headers[k] for k in wanted if k in request.headers}


def _port(request: web.BaseRequest) -> int:
    """The caller's port; it identifies the caller's process."""
    peer = request.transport and request.transport.get_extra_info("peername")
    return int(peer[1]) if peer else 0


def _cut(transport: Any) -> None:
    if transport is not None:
        transport.abort()
