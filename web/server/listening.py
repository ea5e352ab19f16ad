"""Hypercorn's configuration for `python -m web`: a client that reads nothing must go.

Hypercorn would wait for such a client without end. The kernel can tell one that takes
nothing from one that is slow, and needs no timer for each message.
"""

from __future__ import annotations

import logging
import resource
import socket

from hypercorn.config import Config, Sockets

from actors import Settings, rely_on

from .limits import KEEP_ALIVE_S, MAX_FILES, MAX_UNSENT_BYTES, SILENT_READER_S

rely_on(Config, "create_sockets")
rely_on(Sockets, "insecure_sockets")


class Listening(Config):
    """Hypercorn's configuration, with sockets that do not wait for ever."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        host = "127.0.0.1" if settings.development else "0.0.0.0"
        self.bind = [f"{host}:{settings.port}"]
        self.backlog = 2048
        self.errorlog = logging.getLogger("hypercorn.error")
        self.graceful_timeout = settings.drain_s / 4  # for requests, the streams over
        self.shutdown_timeout = 5
        self.keep_alive_timeout = KEEP_ALIVE_S

    def open(self) -> None:
        """Bind the sockets before anything else runs; raises OSError."""
        self._sockets = super().create_sockets()
        for listener in self._sockets.insecure_sockets:
            limit(listener)

    def create_sockets(self) -> Sockets:
        return self._sockets


def limit(listener: socket.socket) -> None:
    """Limit every connection that this socket accepts; only Linux can."""
    for name, value in (
        ("TCP_USER_TIMEOUT", SILENT_READER_S * 1000),
        ("TCP_NOTSENT_LOWAT", MAX_UNSENT_BYTES),
    ):
        if option := getattr(socket, name, None):
            listener.setsockopt(socket.IPPROTO_TCP, option, value)


def allow_many_files() -> None:
    """Use as many open files as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
