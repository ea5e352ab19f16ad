"""What Hypercorn has no switch for. Tests notice when a name of it has gone.

- `_accept_none`: permessage-deflate would cost 90 KiB for every connection and twice
  the CPU for every frame, and browsers always offer it (Hypercorn's issue 307).
- `BoundedStream`: a message over the limit would be kept for as long as it comes. And
  nothing may follow a close frame, also not past Hypercorn.
- `PromptServer`: a client that has closed an idle connection would be held for as long
  as one that has not. It also tells requests, in ASGI's `state`, which wire is theirs.
- `LeanTaskGroup` and `Latch`: what waits for an idle client is lean.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import wsproto.events
from hypercorn.asyncio import run, task_group, tcp_server
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.protocol import h2, h11, ws_stream
from hypercorn.protocol.events import Data, Event, Request, StreamClosed
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendEvent,
    LifespanState,
    Scope,
)
from wsproto.events import CloseConnection
from wsproto.frame_protocol import CloseReason

from .lean import Latch, Mailbox
from .reading import MOST_BYTES
from .wire import SCOPE_KEY, Wire

Send = Callable[[ASGISendEvent | None], Awaitable[None]]

FAREWELL_S = 1  # in which a client may read why it is closed


def apply() -> None:
    """Put ours in the place of Hypercorn's."""
    setattr(ws_stream, "server_extensions_handshake", _accept_none)  # noqa: B010  # not exported
    for protocol in (h11, h2):
        setattr(protocol, "WSStream", BoundedStream)  # noqa: B010  # not exported
    setattr(run, "TCPServer", PromptServer)  # noqa: B010  # not exported
    setattr(tcp_server, "TaskGroup", LeanTaskGroup)  # noqa: B010  # not exported
    WorkerContext.event_class = Latch


def _accept_none(*_: Any) -> None:
    return None


class BoundedStream(ws_stream.WSStream):
    """A WebSocket that ends with a message that is too large."""

    _wire: Wire | None = None
    _overflowed = False

    async def handle(self, event: Event) -> None:
        if isinstance(event, Request):
            self.buffer.max_length = MOST_BYTES
            self._wire = event.state.get(SCOPE_KEY)
        if self._overflowed and isinstance(event, Data):
            return  # read, for else the reason would be lost with it, and dropped
        await super().handle(event)

    async def _send_wsproto_event(self, event: wsproto.events.Event) -> None:
        if isinstance(event, CloseConnection):
            if self._wire:
                self._wire.shut()
            self._overflowed = event.code == CloseReason.MESSAGE_TOO_BIG
        await super()._send_wsproto_event(event)
        if self._overflowed:
            self.buffer.clear()
            self.task_group.spawn(self._end)

    async def _end(self) -> None:
        await self.context.sleep(FAREWELL_S)
        await self.send(StreamClosed(stream_id=self.stream_id))


class LeanTaskGroup(task_group.TaskGroup):
    """Hands over what a client sends through a queue that costs little."""

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Send
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        mailbox = Mailbox[ASGIReceiveEvent](config.max_app_queue_size)
        self.spawn(self._run, app, config, scope, mailbox.get, send)
        return mailbox.put

    async def _run(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: Send,
    ) -> None:
        try:
            await app(scope, receive, send, _no_threads, _no_threads)
        except Exception:
            await config.log.exception("Error in ASGI Framework")
        finally:
            await send(None)


def _no_threads(*_: Any) -> None:
    raise NotImplementedError("Only WSGI apps need threads.")


class PromptServer(tcp_server.TCPServer):
    """A connection that its requests know, and that ends when its client ends it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.writer.get_extra_info("ssl_object") is None:  # TLS has buffers below
            self.state = LifespanState({**self.state, SCOPE_KEY: Wire(self.writer)})

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()
