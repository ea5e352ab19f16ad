"""How Redis is reached: a client whose calls all have a limit, and end if cancelled.

redis-py's own `socket_timeout` waits with `asyncio.wait_for`, which on Python 3.11
loses a cancellation that comes when the answer does
(https://bugs.python.org/issue42130), and a task that was to end then goes on for ever.
`asyncio.timeout` does not.
"""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError, RedisError, TimeoutError

from actors.settings import SettingError

CALL_S = 5
START_S = 5  # Redis may be starting beside us
MAX_CONNECTIONS = 16


@asynccontextmanager
async def limited() -> AsyncIterator[None]:
    """Limit the time of the block; raises redis-py's TimeoutError."""
    try:
        async with asyncio.timeout(CALL_S):
            yield
    except builtins.TimeoutError as error:
        raise TimeoutError("Redis did not answer in time") from error


async def executed(pipe: Pipeline) -> list[Any]:
    """Run a pipeline with a limit on its time."""
    async with limited():
        return await pipe.execute()


class LimitedRedis(Redis):
    """A client whose every command is limited; for a pipeline, see `limited`."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async with limited():
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py's


def connect(url: str) -> Redis:
    """Open a client whose calls are retried for a second, then fail.

    Calls beyond its connections wait for one: a burst is late, not refused.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        timeout=CALL_S,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.4), 3),
        retry_on_error=[ConnectionError, TimeoutError],
        socket_timeout=None,
        socket_connect_timeout=3,
        health_check_interval=30,
        max_connections=MAX_CONNECTIONS,
        protocol=2,
    )
    return LimitedRedis.from_pool(pool)


def require(url: str, variable: str) -> None:
    """Wait until Redis answers; raises SettingError if it does not in time."""
    deadline = time.monotonic() + START_S
    while not _answers(url, variable):
        if time.monotonic() > deadline:
            parts = urlsplit(url)
            host = parts.netloc.rpartition("@")[2]  # without the password
            where = f"{parts.scheme}://{host}{parts.path}"
            raise SettingError(f"Redis cannot be reached at {where} ({variable}).")
        time.sleep(0.1)


def _answers(url: str, variable: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except RedisError:
        return False
    except (TypeError, ValueError) as error:  # an unknown option, an impossible host
        raise SettingError(f"{variable} makes no sense: {error}.") from error
