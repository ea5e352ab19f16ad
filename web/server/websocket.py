"""Hypercorn's WebSocket made strict: it ends if a client breaks the protocol.

Hypercorn itself
- keeps a message over the limit for as long as it comes, and counts characters;
- ends without a code if the bytes are no WebSocket frame;
- counts no frames, so that pings, pongs and fragments cost their sender nothing;
- rejects data that arrives before the handshake is answered, and then never closes the
  stream; nor does it close the connection if the handshake is not a proper one.
The direct write must be shut before a close frame.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from hypercorn.protocol.events import Body, Data, Event, Request, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WebsocketBuffer, WSStream
from hypercorn.typing import ASGISendEvent
from wsproto import events
from wsproto.connection import Connection, ConnectionState
from wsproto.events import CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from actors import rely_on

from .direct_write import STATE_KEY, DirectWrite
from .limits import FAREWELL_S, MAX_BODY_BYTES
from .mailbox import Latch
from .token_bucket import TokenBucket

REFUSALS = {
    CloseReason.PROTOCOL_ERROR,
    CloseReason.INVALID_FRAME_PAYLOAD_DATA,
    CloseReason.POLICY_VIOLATION,
    CloseReason.MESSAGE_TOO_BIG,
}
_OPEN = ConnectionState.OPEN

rely_on(Connection, "events", "state")
rely_on(WebsocketBuffer, "extend", "clear", "length")
rely_on(
    WSStream,
    *("handle", "app_send", "_handle_events", "_send_wsproto_event", "send"),
    *("state", "closed", "handshake", "connection", "buffer"),
    *("task_group", "context", "stream_id"),
)


class RefusedError(Exception):
    """A client has sent something that it must not send."""

    def __init__(self, code: int) -> None:
        self.code = code


class StrictConnection(Connection):
    """The frames of one client; raises RefusedError."""

    _bucket: TokenBucket | None = None  # of frames that say nothing

    def events(self) -> Generator[events.Event, None, None]:
        for event in super().events():
            if isinstance(event, CloseConnection) and self.state is _OPEN:
                raise RefusedError(event.code)  # wsproto could not read it
            if _is_empty(event) and not self._may_send_empty():
                raise RefusedError(CloseReason.POLICY_VIOLATION)
            yield event

    def _may_send_empty(self) -> bool:
        self._bucket = self._bucket or TokenBucket()
        return self._bucket.spend(1)


class StrictBuffer(WebsocketBuffer):
    """A message as it comes, counted in bytes."""

    def __init__(self, _: int) -> None:
        super().__init__(MAX_BODY_BYTES)

    def extend(self, event: Message[Any]) -> None:
        if isinstance(event, TextMessage) and not event.data.isascii():
            self.length += len(event.data.encode()) - len(event.data)
        super().extend(event)


class StrictStream(WSStream):
    """One client's WebSocket."""

    _direct: DirectWrite | None = None
    _answered: Latch | None = None
    _is_deaf = False  # reads on and ignores: unread input would reset the connection

    async def handle(self, event: Event) -> None:
        if isinstance(event, Request):
            await self._open(event)
        elif isinstance(event, Body | Data):
            await self._take(event)
        else:
            await super().handle(event)

    async def _open(self, event: Request) -> None:
        self._direct = event.state.get(STATE_KEY)
        await super().handle(event)
        if self.closed:  # it was no handshake, and the client has been told
            self.task_group.spawn(self.send, StreamClosed(stream_id=self.stream_id))

    async def _take(self, event: Body | Data) -> None:
        if self.state is ASGIWebsocketState.HANDSHAKE and not self.closed:
            self._answered = Latch()
            await self._answered.wait()
        if self.handshake.accepted and not self._is_deaf:
            await super().handle(event)

    async def app_send(self, message: ASGISendEvent | None) -> None:
        if message is None or message["type"] != "websocket.accept":
            await self._stop_waiting()  # a refusal may wait for the client's input
        try:
            await super().app_send(message)
        finally:
            await self._stop_waiting()

    async def _stop_waiting(self) -> None:
        if self._answered:
            await self._answered.set()

    async def _handle_events(self) -> None:
        try:
            await super()._handle_events()
        except RefusedError as refused:
            await self._send_wsproto_event(CloseConnection(code=refused.code))

    async def _send_wsproto_event(self, event: events.Event) -> None:
        if isinstance(event, CloseConnection):
            if self._direct:
                self._direct.shut()
            if self.connection.state is _OPEN and event.code in REFUSALS:
                self._is_deaf = True
                self.buffer.clear()
                self.task_group.spawn(self._end)
        await super()._send_wsproto_event(event)

    async def _end(self) -> None:
        await self.context.sleep(FAREWELL_S)
        await self.send(StreamClosed(stream_id=self.stream_id))


def _is_empty(event: events.Event) -> bool:
    if isinstance(event, Message):
        return event.frame_finished and not event.message_finished
    return isinstance(event, Ping | Pong)
