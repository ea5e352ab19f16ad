"""Sends plain GETs, as nearly every poll is one, over the connections of aiohttp.

aiohttp's session makes each request ready for redirects, cookies, traces and bodies,
which costs more than to send it. A poll has none of these. Its connections (with TLS,
addresses, the limit and the keeping) and the parser of its answers are those of the
session's other requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
from yarl import URL

from .answer import HttpAnswer, read
from .connections import Answering, Connector, Model
from .deadlines import Deadlines

_LINE_BREAKS = "\r\n\0"


class PlainGets:
    """GETs to the server of `url`, with the headers, limit and time of a session."""

    def __init__(self, session: aiohttp.ClientSession, url: URL) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(session.connector, Connector)
        self._connector = session.connector
        self._patience = session.timeout
        assert session.timeout.total is not None
        self._deadlines = Deadlines(loop, session.timeout.total)
        self._model = Model(
            "GET", url, headers=session.headers, loop=loop, session=session
        )
        self._head = _written(self._model.headers)

    def request(self, path: str) -> bytes:
        """Return the GET of an escaped path as it is sent."""
        return f"GET {_one_line(path)} HTTP/1.1\r\n{self._head}\r\n".encode()

    async def get(self, request: bytes) -> HttpAnswer:
        """Send a request and read the answer; raises ClientError and TimeoutError."""
        until = self._deadlines.next()
        try:
            return await self._exchange(request, until)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            # The server may just have closed a kept connection.
            return await self._exchange(request, until)

    async def _exchange(self, request: bytes, until: float) -> HttpAnswer:
        protocol = self._connector.kept(self._model)
        if protocol is None:
            protocol = await self._new(until)
        is_fit = False
        try:
            begun = protocol.ask(request)
            self._deadlines.add(begun, until)
            try:
                message, content = await begun
            finally:
                self._deadlines.drop(begun)
            if content.is_eof():  # it came with its head
                body = await read(message, content)
            else:
                async with asyncio.timeout_at(until):
                    body = await read(message, content)
            is_fit = True
        finally:
            self._connector.give_back(self._model, protocol, fit=is_fit)
        return HttpAnswer(message.code, message.headers, body)

    async def _new(self, until: float) -> Answering:
        async with asyncio.timeout_at(until):
            return await self._connector.new(self._model, self._patience)


def _written(headers: Mapping[str, str]) -> str:
    pairs = headers.items()
    return "".join(f"{_one_line(name)}: {_one_line(text)}\r\n" for name, text in pairs)


def _one_line(text: str) -> str:
    if any(each in text for each in _LINE_BREAKS):
        raise ValueError("A line of a request has a line break.")
    return text
