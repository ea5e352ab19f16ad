"""Redis for those who may block: Dramatiq's broker, and a process that starts."""

from __future__ import annotations

import time

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisClusterException, RedisError

from actors.redis_address import RedisAddress
from actors.settings import SettingError

from .redis import CONNECT_S, TRY_S, sentinel_options

START_S = 5  # Redis may be starting beside us


def broker_pool(url: str) -> redis.ConnectionPool:
    """Open the connections of Dramatiq's broker; its calls are not asynchronous."""
    address = RedisAddress.parse(url)
    options = {
        "retry": redis.retry.Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 4),
        "socket_timeout": TRY_S,
        "socket_connect_timeout": CONNECT_S,
        "health_check_interval": 30,
        "max_connections": 100,
        "protocol": 2,
    }
    if address.kind != "sentinel":
        return redis.ConnectionPool.from_url(url, **options)
    sentinel = redis.Sentinel(address.hosts, sentinel_kwargs=sentinel_options(address))
    return redis.sentinel.SentinelConnectionPool(
        address.service, sentinel, **options, **address.options
    )


def require(url: str, variable: str) -> None:
    """Wait until Redis answers; raises SettingError if it does not in time."""
    address = RedisAddress.parse(url)
    deadline = time.monotonic() + START_S
    while not _answers(address, variable):
        if time.monotonic() > deadline:
            raise SettingError(
                f"Redis cannot be reached at {address.shown} ({variable})."
            )
        time.sleep(0.1)


def _answers(address: RedisAddress, variable: str) -> bool:
    try:
        with _client(address) as client:
            return bool(client.ping())
    except (RedisError, RedisClusterException):
        return False
    except (TypeError, ValueError) as error:  # an unknown option, an impossible host
        raise SettingError(f"{variable} makes no sense: {error}.") from error


def _client(address: RedisAddress) -> redis.Redis | redis.RedisCluster:
    if address.kind == "one":
        return redis.Redis.from_url(address.url, socket_connect_timeout=1)
    if address.kind == "cluster":
        nodes = [redis.cluster.ClusterNode(*each) for each in address.hosts]
        return redis.RedisCluster(startup_nodes=nodes, **address.options)
    sentinel = redis.Sentinel(address.hosts, sentinel_kwargs=sentinel_options(address))
    client: redis.Redis = sentinel.master_for(address.service, **address.options)
    return client
