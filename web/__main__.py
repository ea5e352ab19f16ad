"""`python -m web`: Hypercorn in this process, with an end that nobody is cut off by.

Hypercorn's own worker processes are killed with their streams open, and its graceful
timeout cuts streams without a word, so the streams are ended here before it stops.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import sys
import threading

import uvloop
from hypercorn.asyncio import serve
from quart import Quart

from actors.process import calm_garbage_collector
from actors.settings import settings
from actors.store import redis as connection
from web.owners.jobs import Desk
from web.server.listening import Listening, allow_many_files

from . import create_app

NOTICE_S = 0.5  # in which balancers see that this process is not ready


def main() -> None:
    # Python's own handler raises anywhere, and what it raises may be swallowed there.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    app = create_app()
    connection.require(settings.redis_url, "REDIS_URL")
    connection.require(settings.broker_url, "BROKER_URL")
    calm_garbage_collector()
    allow_many_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app))


async def _serve(app: Quart) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    desk = app.extensions["desk"]

    async def drained() -> None:
        await stop.wait()
        await _drain(desk)

    try:
        await serve(app, Listening(settings), shutdown_trigger=drained)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        sys.exit(f"PORT {settings.port}: cannot listen there ({error.strerror}).")


async def _drain(desk: Desk) -> None:
    # A stalled reader can hold Hypercorn's own end for ever, a broker a thread.
    deadline = threading.Timer(settings.drain_s, os._exit, (0,))
    deadline.daemon = True
    deadline.start()
    notice_s = min(NOTICE_S, settings.drain_s / 4)
    await desk.feed.drain(settings.drain_s / 2, notice_s)


if __name__ == "__main__":
    main()
