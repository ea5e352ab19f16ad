"""aiohttp's connections, which can also be asked without a session around them."""

from __future__ import annotations

import asyncio
from functools import cached_property, partial
from time import monotonic
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage

from actors.libraries import rely_on

_SWITCHING_PROTOCOLS = 101

rely_on(
    aiohttp.TCPConnector,
    *("_acquired", "_conns", "_factory", "_keepalive_timeout", "_release", "connect"),
)
rely_on(Connection, "_protocol")
rely_on(
    ResponseHandler,
    *("feed_data", "is_connected", "pause_reading", "resume_reading"),
    *("set_exception", "set_response_params", "should_close", "transport"),
)

Begun = tuple[RawResponseMessage, aiohttp.StreamReader]


class Model(aiohttp.ClientRequest):
    """The request that stands for all before a connector, which needs its origin."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        return super().connection_key


class Connector(aiohttp.TCPConnector):
    """A TCPConnector that also gives its connections to PlainGets.

    They count among those of a session: for its limit, and to be kept.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)
        self._factory: Any = partial(Answering, loop=asyncio.get_running_loop())

    def kept(self, request: Model) -> Answering | None:
        """Take a connection that is open and free, the one last used."""
        kept = self._conns.get(request.connection_key)
        oldest = monotonic() - (self._keepalive_timeout or 0)
        while kept:
            protocol, used_at = kept.pop()
            assert isinstance(protocol, Answering)
            if protocol.is_connected() and used_at >= oldest:
                self._acquired.add(protocol)
                return protocol
            protocol.close()
        return None

    async def new(self, request: Model, patience: aiohttp.ClientTimeout) -> Answering:
        """Connect; if there are as many connections as may be, wait for one."""
        connection = await self.connect(request, [], patience)
        protocol, connection._protocol = connection.protocol, None
        assert isinstance(protocol, Answering)
        return protocol

    def give_back(self, request: Model, protocol: Answering, *, fit: bool) -> None:
        """Keep a connection, or close it unless it is fit for another request."""
        self._release(request.connection_key, protocol, should_close=not fit)


class Answering(ResponseHandler):
    """A connection. After `ask`, the head of an answer goes to a future."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._new_future = loop.create_future
        self._asked: asyncio.Future[Begun] | None = None
        self._parses_plainly = False
        self._is_paused = False

    def ask(self, request: bytes) -> asyncio.Future[Begun]:
        """Send a request; return the future head of its answer, with its body."""
        if self.should_close or self.transport is None:
            raise aiohttp.ServerDisconnectedError  # or it spoke unasked
        if not self._parses_plainly:
            self.set_response_params(read_until_eof=True)
            self._parses_plainly = True
        self._asked = self._new_future()
        self.transport.write(request)
        return self._asked

    def set_response_params(self, **params: Any) -> None:
        """Note that a session has asked, and left a parser of its own."""
        self._parses_plainly = False
        super().set_response_params(**params)

    def feed_data(self, data: Begun, size: int = 0) -> None:
        """Take the head of an answer; skip an early one, such as a 103."""
        if self._asked is None:
            super().feed_data(data, size)
        elif data[0].code >= 200 or data[0].code == _SWITCHING_PROTOCOLS:
            asked, self._asked = self._asked, None
            if not asked.done():
                asked.set_result(data)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        asked, self._asked = self._asked, None
        if asked and not asked.done():
            is_not_http = isinstance(exc, HttpProcessingError)
            asked.set_exception(
                aiohttp.ClientPayloadError("It is not HTTP.") if is_not_http else exc
            )

    def pause_reading(self) -> None:
        self._is_paused = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Skip this if nothing is paused, as after each answer that came whole."""
        if self._is_paused:
            self._is_paused = False
            super().resume_reading(resume_parser)
