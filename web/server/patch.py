"""Our parts in the place of Hypercorn's, for which it has no switch.

- `_accept_none`: permessage-deflate would cost 90 KiB for every connection and twice
  the CPU for every frame, and browsers always offer it
  (https://github.com/pgjones/hypercorn/issues/307).
- `websocket`: Hypercorn's WebSocket does not end if a client breaks the protocol.
- `PromptServer`: a client that has closed an idle connection would be held as long as
  one that has not; if the kernel drops a client, Hypercorn would log a traceback. It
  also puts the connection's `DirectWrite` into ASGI's `state`.
- `LeanTaskGroup`, `LeanUpgrade` and `Latch`: an idle client costs little memory.
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

from actors import rely_on, replace

from .direct_write import STATE_KEY, DirectWrite
from .mailbox import Latch, Mailbox
from .websocket import StrictBuffer, StrictConnection, StrictStream

rely_on(task_group.TaskGroup, "spawn_app", "spawn")
rely_on(h11.H11WSConnection, "send", "h11_connection")
rely_on(
    tcp_server.TCPServer,
    *("run", "protocol_send", "_close", "_read_data"),
    *("writer", "state", "protocol", "idle_task"),
)

Send = Callable[[ASGISendEvent | None], Awaitable[None]]


def apply() -> None:
    """Put ours in the place of Hypercorn's; raises LibraryChangedError."""
    replace(ws_stream, "server_extensions_handshake", _accept_none)
    replace(ws_stream, "Connection", StrictConnection)
    replace(ws_stream, "WebsocketBuffer", StrictBuffer)
    for protocol in (h11, h2):
        replace(protocol, "WSStream", StrictStream)
    replace(h11, "H11WSConnection", LeanUpgrade)
    replace(run, "TCPServer", PromptServer)
    replace(tcp_server, "TaskGroup", LeanTaskGroup)
    replace(WorkerContext, "event_class", Latch)


def _accept_none(*_: Any) -> None:
    return None


class LeanTaskGroup(task_group.TaskGroup):
    """A TaskGroup whose queue of a client's events costs little memory."""

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
    """A connection that has become a WebSocket, and lets go of its HTTP parser."""

    def send(self, event: H11SendableEvent) -> bytes:
        data = super().send(event)
        if isinstance(event, InformationalResponse):
            del self.h11_connection
        return data


class PromptServer(tcp_server.TCPServer):
    """A TCPServer that ends with its client, and tells requests their direct write."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.writer.get_extra_info("ssl_object") is None:  # TLS has buffers below
            direct = DirectWrite(self.writer)
            self.state = LifespanState({**self.state, STATE_KEY: direct})

    async def run(self) -> None:
        with suppress(asyncio.CancelledError):  # at the end; otherwise asyncio logs it
            await super().run()

    async def protocol_send(self, event: Event) -> None:
        try:
            await super().protocol_send(event)
        except OSError:  # Hypercorn catches only ConnectionError and RuntimeError
            await self.protocol.handle(Closed())

    async def _close(self) -> None:
        with suppress(OSError):
            await super()._close()

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()
