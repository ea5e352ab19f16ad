"""Turns permessage-deflate off, for which Hypercorn has no switch.

It would cost 90 KiB for every connection and twice the CPU for every frame, and
browsers always offer it (Hypercorn's issue 307). A test notices when the name has gone.
"""

from __future__ import annotations

from typing import Any

from hypercorn.protocol import ws_stream


def turn_off_deflate() -> None:
    """Have Hypercorn accept no WebSocket extension."""
    setattr(ws_stream, "server_extensions_handshake", _accept_none)  # noqa: B010  # not exported


def _accept_none(*_: Any) -> None:
    return None
