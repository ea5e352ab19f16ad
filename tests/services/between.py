"""A proxy before a real service: it can lose an answer, and notes what was said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from aiohttp import web

from dev.redis import free_port

from .progrock import in_thread

PASSED_ON = ("Authorization", "Content-Type")


class Between:
    """Passes requests on; `said` has all calls in order, as recordings have them."""

    def __init__(self, behind: str) -> None:
        self._behind, self._port = behind, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.said: list[dict[str, Any]] = []
        self._loses: list[str] = []

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve in a thread while the context is open."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._hear)
        with in_thread(app, self._port):
            yield

    def lose(self, end: str) -> None:
        """Lose the next answer to a request whose path ends so."""
        self._loses.append(end)

    @property
    def has_lost_all(self) -> bool:
        """True if each answer that was to be lost is lost."""
        return not self._loses

    async def _hear(self, request: web.Request) -> web.Response:
        sent = await request.read()
        headers = {k: request.headers[k] for k in PASSED_ON if k in request.headers}
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                f"{self._behind}{request.raw_path}",
                data=sent,
                headers=headers,
            ) as answer,
        ):
            body = await answer.read()
        self._note(request, sent, answer.status, body)
        lost = next((end for end in self._loses if request.path.endswith(end)), None)
        if lost:
            self._loses.remove(lost)
            assert request.transport is not None
            request.transport.abort()
        kind = answer.content_type
        return web.Response(status=answer.status, body=body, content_type=kind)

    def _note(
        self, request: web.Request, sent: bytes, status: int, body: bytes
    ) -> None:
        call: dict[str, Any] = {"request": f"{request.method} {request.raw_path}"}
        if sent:
            call["sends"] = json.loads(sent)
        self.said.append({**call, "status": status, "answer": json.loads(body)})
