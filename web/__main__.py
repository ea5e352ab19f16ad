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
from urllib.parse import urlsplit

import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.connection import connect
from actors.memory import calm_garbage_collector
from actors.settings import settings

from . import MOST_BODY_BYTES, create_app
from .desk import Desk

REDIS_PATIENCE_S = 5
DRAIN_S = 5
LAST_RESORT_S = 10


def main() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    calm_garbage_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())


async def _serve() -> None:
    app = create_app()
    await _wait_for_redis(settings.redis_url)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    desk = app.extensions["desk"]

    async def drained() -> None:
        await stop.wait()
        await _drain(desk)

    await serve(app, _config(), shutdown_trigger=drained)


async def _answers(redis: Redis) -> bool:
    try:
        await redis.ping()
    except RedisError:
        return False
    return True


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


async def _wait_for_redis(url: str) -> None:
    """Redis may be starting beside us; without it there is nothing to serve."""
    redis = connect(url)
    try:
        async with asyncio.timeout(REDIS_PATIENCE_S):
            while not await _answers(redis):  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.2)
    except TimeoutError:
        parts = urlsplit(url)
        where = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        sys.exit(f"Redis cannot be reached at {where} (REDIS_URL).")
    finally:
        await redis.aclose()


if __name__ == "__main__":
    main()
