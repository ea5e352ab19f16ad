"""Connections that hear channels: one to a Redis, or one to each node of a Cluster."""

from __future__ import annotations

from typing import Any, Protocol

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import PubSub

from .redis import AnyRedis, limited


class Ears(Protocol):
    """The connections that a feed needs."""

    async def node_of(self, channel: str) -> str:
        """Return the name of the node that has a channel now."""

    async def subscribe(self, node: str, channel: str) -> PubSub:
        """Subscribe on a node, and return its connection."""

    async def unsubscribe(self, node: str, channel: str) -> None:
        """Subscribe no longer."""

    async def close(self) -> None:
        """Close all connections."""


def ears(redis: AnyRedis, options: dict[str, Any]) -> Ears:
    """Make ears for a client; `options` are those of connections to a Cluster."""
    if isinstance(redis, RedisCluster):
        return _ManyEars(redis, options)
    return _OneEar(redis)


class _OneEar:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._ear = redis.pubsub()

    async def node_of(self, channel: str) -> str:
        # A command finds out where the master is now; a subscription would hang.
        await self._redis.ping()
        return "the master"

    async def subscribe(self, node: str, channel: str) -> PubSub:
        async with limited():
            await self._ear.subscribe(channel)
        return self._ear

    async def unsubscribe(self, node: str, channel: str) -> None:
        async with limited():
            await self._ear.unsubscribe(channel)

    async def close(self) -> None:
        await self._ear.aclose()


class _ManyEars:
    """redis-py's own asks one node after another; a silent one would hold up all."""

    def __init__(self, cluster: RedisCluster, options: dict[str, Any]) -> None:
        self._cluster = cluster
        self._options = options
        self._clients: dict[str, Redis] = {}
        self._ears: dict[str, PubSub] = {}

    async def node_of(self, channel: str) -> str:
        # A command finds out where its slot is now; to look it up does not.
        await self._cluster.exists(channel)
        node = self._cluster.get_node_from_key(channel)
        assert node is not None
        return f"{node.host} {node.port}"

    async def subscribe(self, node: str, channel: str) -> PubSub:
        if node not in self._ears:
            host, port = node.split(" ")
            client = Redis(host=host, port=int(port), **self._options)
            self._clients[node], self._ears[node] = client, client.pubsub()
        async with limited():
            await self._ears[node].ssubscribe(channel)
        return self._ears[node]

    async def unsubscribe(self, node: str, channel: str) -> None:
        async with limited():
            await self._ears[node].sunsubscribe(channel)

    async def close(self) -> None:
        for node, ear in self._ears.items():
            await ear.aclose()
            await self._clients[node].aclose()
