"""What Hypercorn has no switch for. Tests notice when a name of it has gone.

- `_accept_none`: permessage-deflate would cost 90 KiB for every connection and twice
  the CPU for every frame, and browsers always offer it (Hypercorn's issue 307).
- `strict_socket`: a WebSocket does not end with what a client may not send.
- `PromptServer`: a client that has closed an idle connection would be held for as long
  as one that has not; one that the kernel has given up would be logged as a traceback.
  It also tells requests, in ASGI's `state`, which wire is theirs.
- `LeanTaskGroup`, `LeanUpgrade` and `Latch`: what waits for an idle client is lean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from h11 import InformationalResponse
from hypercorn.asyncio import run, task_group, tcp_server
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event
from hypercorn.protocol import h2, h11, ws_stream
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendEvent,
    H11SendableEvent,
    LifespanState,
    Scope,
)

from web.server.direct_write import SCOPE_KEY, Wire
from web.server.mailbox import Latch, Mailbox
from web.server.websocket import StrictBuffer, StrictConnection, StrictStream

Send = Callable[[ASGISendEvent | None], Awaitable[None]]


def apply() -> None:
    """Put ours in the place of Hypercorn's."""
    setattr(ws_stream, "server_extensions_handshake", _accept_none)  # noqa: B010  # not exported
    setattr(ws_stream, "Connection", StrictConnection)  # noqa: B010  # not exported
    setattr(ws_stream, "WebsocketBuffer", StrictBuffer)  # noqa: B010  # not exported
    for protocol in (h11, h2):
        setattr(protocol, "WSStream", StrictStream)  # noqa: B010  # not exported
    setattr(h11, "H11WSConnection", LeanUpgrade)  # noqa: B010  # not exported
    setattr(run, "TCPServer", PromptServer)  # noqa: B010  # not exported
    setattr(tcp_server, "TaskGroup", LeanTaskGroup)  # noqa: B010  # not exported
    WorkerContext.event_class = Latch


def _accept_none(*_: Any) -> None:
    return None


class LeanTaskGroup(task_group.TaskGroup):
    """Hands over what a client sends through a queue that costs little."""

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Send
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        mailbox = Mailbox(config.max_app_queue_size)
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


class LeanUpgrade(h11.H11WSConnection):
    """A connection that has become a WebSocket, without the HTTP that it was."""

    def send(self, event: H11SendableEvent) -> bytes:
        data = super().send(event)
        if isinstance(event, InformationalResponse):
            del self.h11_connection
        return data


class PromptServer(tcp_server.TCPServer):
    """A connection that its requests know, and that ends when its client ends it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.writer.get_extra_info("ssl_object") is None:  # TLS has buffers below
            self.state = LifespanState({**self.state, SCOPE_KEY: Wire(self.writer)})

    async def run(self) -> None:
        with suppress(asyncio.CancelledError):  # at the end; asyncio logs it else
            await super().run()

    async def protocol_send(self, event: Event) -> None:
        try:
            await super().protocol_send(event)
        except OSError:  # Hypercorn expects fewer of them
            await self.protocol.handle(Closed())

    async def _close(self) -> None:
        with suppress(OSError):
            await super()._close()

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()
