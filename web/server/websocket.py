"""Hypercorn's WebSocket, made strict: it ends with what a client may not send.

What Hypercorn does by itself:
- It keeps a message over the limit for as long as it comes, and counts characters.
- It ends with no code where what comes is no WebSocket frame.
- It counts no frames, so that pings, pongs and fragments cost their sender nothing.
- It refuses what comes before the handshake's answer, and then holds the stream for
  ever; as it holds the connection of whoever sends no proper handshake.
And what is written past it must not follow a close frame.
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

from web.http.json_input import MOST_BYTES
from web.server.direct_write import SCOPE_KEY, Wire
from web.server.mailbox import Latch
from web.server.token_bucket import Allowance

FAREWELL_S = 1  # in which a client may read why it is closed
REFUSALS = {
    CloseReason.PROTOCOL_ERROR,
    CloseReason.INVALID_FRAME_PAYLOAD_DATA,
    CloseReason.POLICY_VIOLATION,
    CloseReason.MESSAGE_TOO_BIG,
}
_OPEN = ConnectionState.OPEN


class RefusedError(Exception):
    """A client has sent what it may not."""

    def __init__(self, code: int) -> None:
        self.code = code


class StrictConnection(Connection):
    """The frames of one client; raises RefusedError."""

    _allowance: Allowance | None = None  # of frames that say nothing

    def events(self) -> Generator[events.Event, None, None]:
        for event in super().events():
            if isinstance(event, CloseConnection) and self.state is _OPEN:
                raise RefusedError(event.code)  # wsproto could not read it
            if _says_nothing(event) and not self._may_say_nothing():
                raise RefusedError(CloseReason.POLICY_VIOLATION)
            yield event

    def _may_say_nothing(self) -> bool:
        self._allowance = self._allowance or Allowance()
        return self._allowance.spend(1)


class StrictBuffer(WebsocketBuffer):
    """A message as it comes, counted in bytes."""

    def __init__(self, _: int) -> None:
        super().__init__(MOST_BYTES)

    def extend(self, event: Message[Any]) -> None:
        if isinstance(event, TextMessage) and not event.data.isascii():
            self.length += len(event.data.encode()) - len(event.data)
        super().extend(event)


class StrictStream(WSStream):
    """One client's WebSocket."""

    _wire: Wire | None = None
    _answered: Latch | None = None
    _is_deaf = False  # what still comes is read, else the reason would be lost with it

    async def handle(self, event: Event) -> None:
        if isinstance(event, Request):
            await self._open(event)
        elif isinstance(event, Body | Data):
            await self._take(event)
        else:
            await super().handle(event)

    async def _open(self, event: Request) -> None:
        self._wire = event.state.get(SCOPE_KEY)
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
            await self._stop_waiting()  # a refusal may wait for what the client sends
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
            if self._wire:
                self._wire.shut()
            if self.connection.state is _OPEN and event.code in REFUSALS:
                self._is_deaf = True
                self.buffer.clear()
                self.task_group.spawn(self._end)
        await super()._send_wsproto_event(event)

    async def _end(self) -> None:
        await self.context.sleep(FAREWELL_S)
        await self.send(StreamClosed(stream_id=self.stream_id))


def _says_nothing(event: events.Event) -> bool:
    if isinstance(event, Message):
        return event.frame_finished and not event.message_finished
    return isinstance(event, Ping | Pong)
