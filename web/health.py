"""Whether this process lives, whether it can serve, and whether a worker is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quart import Blueprint, Response, jsonify
from redis.exceptions import RedisError

from actors import Store

from .streams import current_hub

LOOK_S = 5

logger = logging.getLogger(__name__)

routes = Blueprint("health", __name__)


@routes.get("/health/live")
async def live() -> Response:
    return jsonify(live=True)


@routes.get("/health/ready")
async def ready() -> Response:
    if current_hub().draining:
        return _not_ready("This process is about to stop.")
    if not current_hub().connected:
        return _not_ready("Redis cannot be reached.")
    return jsonify(ready=True)


def _not_ready(reason: str) -> Response:
    response = jsonify(ready=False, reason=reason)
    response.status_code = 503
    return response


@asynccontextmanager
async def watched_workers(store: Store) -> AsyncIterator[None]:
    """Warn in the log while no worker is there, until the block is left.

    `dramatiq actors` loads whatever `actors` it finds first. Another program's
    `actors.py` starts without an error, and without ProgRock.
    """
    task = asyncio.create_task(_watch(store))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(store: Store) -> None:
    was_there = True
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            is_there = await store.has_worker()
        except RedisError:  # of which the hub tells
            continue
        except Exception:
            logger.exception("The look for workers failed, and goes on.")
            continue
        if was_there and not is_there:
            logger.warning(
                "No ProgRock worker is there, so no job moves. Start `dramatiq "
                'actors`: its log must say "ProgRock works for these backends". '
                "Otherwise it has found another program's `actors`."
            )
        if is_there and not was_there:
            logger.info("A ProgRock worker is there again.")
        was_there = is_there
