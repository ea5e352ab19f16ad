"""`python -m web`: Hypercorn in this process, with an end that cuts nobody off.

Hypercorn's own worker processes are killed with their streams open, and its graceful
timeout cuts streams without a word, so the streams are ended here before it stops.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import threading

import uvloop
from hypercorn.asyncio import serve
from quart import Quart

from actors import (
    Settings,
    calm_garbage_collector,
    last_words,
    require_redis,
    set_up_log,
)

from . import create_app
from .server.listening import Listening, allow_many_files
from .streams.hub import Hub

NOTICE_S = 0.5  # in which balancers see that this process is not ready


def main() -> None:
    # Python's own handler raises anywhere, and its exception may be swallowed there.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    set_up_log()
    with last_words():
        _run()


def _run() -> None:
    settings = Settings.read(os.environ)
    app = create_app(settings)
    require_redis(settings.redis_url, "REDIS_URL")
    require_redis(settings.broker_url, "BROKER_URL")
    listening = _listen(settings)
    calm_garbage_collector()
    allow_many_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, listening, settings.drain_s))


def _listen(settings: Settings) -> Listening:
    listening = Listening(settings)
    try:
        listening.open()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        sys.exit(f"PORT {settings.port}: cannot listen there ({error.strerror}).")
    return listening


async def _serve(app: Quart, listening: Listening, drain_s: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)

    async def drained() -> None:
        await stop.wait()
        await _drain(app.extensions["hub"], drain_s)

    await serve(app, listening, shutdown_trigger=drained)


async def _drain(hub: Hub, drain_s: int) -> None:
    # A stalled reader can block Hypercorn's shutdown, a broker that hangs a thread.
    deadline = threading.Timer(drain_s, os._exit, (0,))
    deadline.daemon = True
    deadline.start()
    await hub.drain(drain_s / 2, min(NOTICE_S, drain_s / 4))


if __name__ == "__main__":
    main()
