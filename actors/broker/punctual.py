"""A RedisBroker whose consumers are on time, and that survives losing Redis."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

import dramatiq.worker
import redis
from dramatiq.brokers.redis import RedisBroker

from actors.libraries import rely_on, replace
from actors.settings import DEFAULT_PREFIX
from actors.store.blocking import broker_pool
from actors.store.keys import broker_namespace

from .consumer import PunctualConsumer, translated

MAX_RINGS = 8
RESTART_S = 0.3
RECLAIM_CHUNK = 500

# Rings are kept only as long as a busy consumer might need to hear them.
_RING = f"""
if redis.call('RPUSH', KEYS[1], 1) > {MAX_RINGS} then redis.call('LPOP', KEYS[1]) end
redis.call('PEXPIRE', KEYS[1], 10000)
"""

rely_on(RedisBroker, "namespace", "broker_id", "client", "consumer_class", "consume")
rely_on(redis.Redis, "connection_pool")


class PunctualBroker(RedisBroker):
    """A RedisBroker that rings on enqueue and takes back messages after an outage.

    It is made without an address, so that importing it needs none; `connect` gives it
    one. Maintenance looks for the messages of dead workers on one fetch in 20 or so.
    """

    def __init__(self) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # dramatiq's
            client=redis.Redis(),
            middleware=[],
            namespace=broker_namespace(DEFAULT_PREFIX),
            heartbeat_timeout=15_000,
            maintenance_chance=50_000,
        )
        self._ring = self.client.register_script(_RING)

    def connect(self, url: str, key_prefix: str = DEFAULT_PREFIX) -> None:
        """Use the Redis at `url` from now on; nothing is sent to it yet.

        A worker process may have been forked off one with this broker, and each needs a
        name of its own for the messages that it holds.
        """
        self.broker_id = str(uuid4())
        _restart_consumers_soon()
        self.namespace = broker_namespace(key_prefix)
        self.client.connection_pool = broker_pool(url)

    @property
    def consumer_class(self) -> type[PunctualConsumer]:
        return PunctualConsumer

    def enqueue(self, message: Any, *, delay: int | None = None) -> Any:
        with translated():
            enqueued = super().enqueue(message, delay=delay)
            self._ring(keys=[self.bell(enqueued.queue_name)])
        return enqueued

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Any:
        with translated():
            if queue_name.endswith(".DQ"):
                self._reclaim(queue_name)
            return super().consume(queue_name, prefetch, timeout)

    def bell(self, queue_name: str) -> str:
        """The list that every enqueue rings."""
        return f"{self.namespace}:{queue_name}.bell"

    def _reclaim(self, queue_name: str) -> None:
        """Put back the delayed messages that a consumer forgot with its connection.

        A consumer that starts holds none, so all that are still noted as ours are lost.
        """
        noted = f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}"
        ids = list(self.client.smembers(noted))
        for start in range(0, len(ids), RECLAIM_CHUNK):
            self.do_requeue(queue_name, *ids[start : start + RECLAIM_CHUNK])


def _restart_consumers_soon() -> None:
    """Start a consumer that has lost Redis again soon; nothing is polled till then.

    Dramatiq waits for 3 s, and reads its variable before anybody could set it here.
    """
    if "dramatiq_restart_delay" not in os.environ:
        replace(dramatiq.worker, "CONSUMER_RESTART_DELAY_SECS", RESTART_S)
