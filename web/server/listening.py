"""How `python -m web` listens: what a reader may cost who does not read.

Hypercorn waits for such a reader without end. The kernel knows better than any clock of
ours who takes nothing and who is merely slow, and it costs no timer for each message.
"""

from __future__ import annotations

import logging
import resource
import socket

from hypercorn.config import Config, Sockets

from actors.settings import Settings

# Who takes nothing for so long, or does not confirm it, is cut off (tcp(7)).
SILENT_READER_S = 30
# So much waits in the kernel for one reader, who would else be sent a long past.
MOST_UNSENT_BYTES = 16 * 1024
MOST_FILES = 65_536


class Listening(Config):
    """Hypercorn's configuration, with sockets that do not wait for ever."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.bind = [f"0.0.0.0:{settings.port}"]
        self.backlog = 2048
        self.errorlog = logging.getLogger("hypercorn.error")
        self.graceful_timeout = settings.drain_s / 4  # for requests, the streams over
        self.shutdown_timeout = 5
        self.keep_alive_timeout = 95  # longer than a proxy keeps its own connections

    def create_sockets(self) -> Sockets:
        sockets = super().create_sockets()
        for listener in sockets.insecure_sockets:
            limit(listener)
        return sockets


def limit(listener: socket.socket) -> None:
    """Limit every connection that this socket accepts; only Linux can."""
    for name, value in (
        ("TCP_USER_TIMEOUT", SILENT_READER_S * 1000),
        ("TCP_NOTSENT_LOWAT", MOST_UNSENT_BYTES),
    ):
        if option := getattr(socket, name, None):
            listener.setsockopt(socket.IPPROTO_TCP, option, value)


def allow_many_files() -> None:
    """Use what the system allows: each stream is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
