"""How Redis is reached: clients whose calls all have a limit, and end if cancelled.

redis-py's own `socket_timeout` waits with `asyncio.wait_for`, which on Python 3.11
loses a cancellation that comes when the answer does
(https://bugs.python.org/issue42130), and a task that was to end then goes on for ever.
`asyncio.timeout` does not.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterNode, ClusterPipeline
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    ConnectionError,
    RedisClusterException,
    RedisError,
    TimeoutError,
)

from actors.redis_address import RedisAddress

CALL_S = 5
TRY_S = 2
CONNECT_S = 3
MAX_CONNECTIONS = 16
_TRIES = {"base": 0.05, "cap": 0.4}
_NO_LIMIT = nullcontext()

AnyRedis = Redis | RedisCluster
Pipe = Pipeline | ClusterPipeline
T = TypeVar("T")

logger = logging.getLogger(__name__)


@asynccontextmanager
async def limited() -> AsyncIterator[None]:
    """Limit the time of the block; raises redis-py's TimeoutError."""
    try:
        async with asyncio.timeout(CALL_S):
            yield
    except builtins.TimeoutError as error:
        raise TimeoutError("Redis did not answer in time") from error


async def executed(redis: AnyRedis, fill: Callable[[Pipe], object]) -> list[Any]:
    """Run the commands that `fill` gives a pipeline, with limits on their time."""

    async def run() -> list[Any]:
        async with redis.pipeline(transaction=False) as pipe:
            fill(pipe)
            return await pipe.execute()

    places = redis.pipelines if isinstance(redis, LimitedCluster) else _NO_LIMIT
    return await _tried(redis, run, places)


class LimitedRedis(Redis):
    """A client whose every command is limited; for a pipeline, see `executed`."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        run = partial(super().execute_command, *args, **options)
        return await _tried(self, run)


class LimitedCluster(RedisCluster):
    """The same for a Cluster. Its nodes refuse calls beyond their connections.

    So no more are let in than one node has connections. A pipeline may send a command
    by itself while it is under way.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._commands = asyncio.Semaphore(MAX_CONNECTIONS)
        self.pipelines = asyncio.Semaphore(MAX_CONNECTIONS)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        run = partial(super().execute_command, *args, **options)
        return await _tried(self, run, self._commands)


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """A pool to the master that waits for a connection, as that to one Redis does."""


async def _tried(
    redis: AnyRedis,
    run: Callable[[], Awaitable[T]],
    places: AbstractAsyncContextManager[Any] = _NO_LIMIT,
) -> T:
    """Limit a call and each try of it; raises RedisError, also for a whole Cluster.

    A connection may be dead without a sign, and a master that hangs may have been
    replaced meanwhile.
    """
    async with limited(), places:
        while True:
            try:
                async with asyncio.timeout(TRY_S):
                    return await run()
            except builtins.TimeoutError:
                await _look_around(redis)
            except RedisClusterException as error:  # it is no RedisError
                raise ConnectionError(str(error)) from error


async def _look_around(redis: AnyRedis) -> None:
    """Ask where the master is, or which nodes there are; that may fail, too."""
    try:
        if isinstance(redis, RedisCluster):
            await redis.nodes_manager.initialize()
        elif isinstance(redis.connection_pool, _SentinelPool):
            await redis.connection_pool.get_master_address()  # type: ignore[no-untyped-call]  # redis-py's
    except (RedisError, RedisClusterException) as error:
        logger.warning("Redis cannot be found: %s.", error)


def connect(url: str) -> AnyRedis:
    """Open a client whose calls are retried for a second, then fail.

    Calls beyond its connections wait for one: a burst is late, not refused.
    """
    address = RedisAddress.parse(url)
    if address.kind == "cluster":
        return LimitedCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
            dynamic_startup_nodes=False,  # https://github.com/redis/redis-py/issues/3310
            retry=Retry(ExponentialWithJitterBackoff(**_TRIES), 5),
            max_connections=MAX_CONNECTIONS * 3,  # for commands, pipelines, ourselves
            **_sockets(),
            **address.options,
        )
    options = {
        "timeout": CALL_S,
        "retry": Retry(ExponentialWithJitterBackoff(**_TRIES), 3),
        "retry_on_error": [ConnectionError, TimeoutError],
        "max_connections": MAX_CONNECTIONS,
        **_sockets(),
    }
    pool: BlockingConnectionPool
    if address.kind == "sentinel":
        sentinel = Sentinel(address.hosts, sentinel_kwargs=sentinel_options(address))
        pool = _SentinelPool(  # type: ignore[no-untyped-call]  # redis-py's
            address.service, sentinel, **options, **address.options
        )
    else:
        pool = BlockingConnectionPool.from_url(url, **options)
    return LimitedRedis.from_pool(pool)


async def server_of(url: str, key: str) -> Redis:
    """Open a client of the one server that has a key."""
    client = connect(url)
    if isinstance(client, Redis):
        return client
    try:
        await client.exists(key)
        node = client.get_node_from_key(key)
        assert node is not None
        return LimitedRedis(host=node.host, port=int(node.port), **node_options(url))
    finally:
        await client.aclose()


def node_options(url: str) -> dict[str, Any]:
    """Return the options of a connection to one node of a Cluster."""
    return {**_sockets(), **RedisAddress.parse(url).options}


def _sockets() -> dict[str, Any]:
    return {
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_S,
        "health_check_interval": 30,
        "protocol": 2,
    }


def sentinel_options(address: RedisAddress) -> dict[str, Any]:
    """Sentinels are asked one after another, so none may be waited for long."""
    tls = {k: v for k, v in address.options.items() if k.startswith("ssl")}
    return {"socket_timeout": 0.5, "socket_connect_timeout": 0.5, "protocol": 2, **tls}
