"""`python -m web`: Hypercorn in this process, with an end that nobody is cut off by.

Hypercorn's own worker processes are killed with their streams open, and its graceful
timeout cuts streams without a word, so the streams are ended here before it stops.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart

from actors import connection
from actors.memory import calm_garbage_collector
from actors.settings import settings

from . import MOST_BODY_BYTES, create_app
from .desk import Desk

DRAIN_S = 5
LAST_RESORT_S = 10


def main() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    app = create_app()
    connection.require(settings.redis_url, "REDIS_URL")
    connection.require(settings.broker_url, "BROKER_URL")
    calm_garbage_collector()
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
        await serve(app, _config(), shutdown_trigger=drained)
    except OSError as error:
        sys.exit(f"PORT {settings.port}: cannot listen there ({error.strerror}).")


def _config() -> Config:
    config = Config()
    config.bind = [f"0.0.0.0:{settings.port}"]
    config.backlog = 2048
    config.errorlog = logging.getLogger("hypercorn.error")
    config.graceful_timeout = 1
    config.shutdown_timeout = 5
    config.keep_alive_timeout = 95  # longer than a proxy keeps its own connections
    config.websocket_max_message_size = MOST_BODY_BYTES
    return config


async def _drain(desk: Desk) -> None:
    # A stalled reader can hold Hypercorn's own end for ever.
    asyncio.get_running_loop().call_later(LAST_RESORT_S, os._exit, 0)
    await desk.feed.drain(DRAIN_S)


if __name__ == "__main__":
    main()
