"""The Dramatiq broker: on time at no cost while idle, and not hurt by losing Redis.

Dramatiq's own Redis consumer asks again and again, with pauses of up to
`dramatiq_worker_timeout`, and looks at its delayed messages only in between. This one
waits on a list that every enqueue rings, and no longer than until the nearest eta that
it holds. The wait is the client's: Redis ends a blocked call up to 100 ms late.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import dramatiq.worker
import redis
import uvloop
from dramatiq import Message
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import AsyncIO, Middleware
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from actors.settings import settings

AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,  # as in a failover
    redis.exceptions.MasterDownError,
    redis.exceptions.OutOfMemoryError,
)
RESTART_S = 0.3
MOST_RINGS = 8
FULL_S = 0.005
RECLAIM_CHUNK = 500

# Rings are kept only as long as a consumer that is busy might need to hear them.
_RING = f"""
if redis.call('RPUSH', KEYS[1], 1) > {MOST_RINGS} then redis.call('LPOP', KEYS[1]) end
redis.call('PEXPIRE', KEYS[1], 10000)
"""


@contextmanager
def _translated() -> Iterator[None]:
    """Have Dramatiq try again where Redis will be there again."""
    try:
        yield
    except AWAY as error:
        raise ConnectionClosed(error) from None


class PunctualConsumer(_RedisConsumer):
    """A consumer that is woken by an enqueue or by an eta that it holds."""

    def __init__(
        self, broker: PunctualBroker, queue_name: str, prefetch: int, timeout: int
    ) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)  # type: ignore[no-untyped-call]  # dramatiq's
        self._bell = _Bell(broker.client, broker.bell(queue_name), timeout / 1000)
        self._etas: list[int] = []

    def __next__(self) -> Any:
        """Return the next message, or None after a wait without one."""
        with _translated():
            room = self.prefetch - self.outstanding_message_count
            if not self.message_cache and room > 0:
                self.message_cache = self.broker.do_fetch(self.queue_name, room)
            if not self.message_cache:
                # Nobody rings when there is room again, so a full one looks soon.
                self._bell.wait(self._patience_s() if room > 0 else FULL_S)
                self._forget_etas()
                return None
        message = MessageProxy(Message.decode(self.message_cache.pop(0)))
        self.queued_message_ids.add(message.message_id)
        if "eta" in message.options:
            heapq.heappush(self._etas, message.options["eta"])
        return message

    def ack(self, message: Any) -> None:
        with _translated():
            super().ack(message)  # type: ignore[no-untyped-call]  # dramatiq's

    def nack(self, message: Any) -> None:
        with _translated():
            super().nack(message)  # type: ignore[no-untyped-call]  # dramatiq's

    def requeue(self, messages: Any) -> None:
        with _translated():
            super().requeue(messages)  # type: ignore[no-untyped-call]  # dramatiq's

    def close(self) -> None:
        self._bell.close()

    def _patience_s(self) -> float:
        """How long until the nearest eta."""
        timeout_s: float = self.timeout / 1000
        if not self._etas:
            return timeout_s
        return min(max(self._etas[0] - current_millis(), 0) / 1000, timeout_s)

    def _forget_etas(self) -> None:
        """Drop those that have passed: the worker looks at its messages next."""
        now = current_millis()
        while self._etas and self._etas[0] <= now:
            heapq.heappop(self._etas)


class _Bell:
    """One connection with a BLPOP on it, which may outlast several waits."""

    def __init__(self, client: Any, key: str, timeout_s: float) -> None:
        self._pool = client.connection_pool
        self._key = key
        self._timeout_s = max(timeout_s, 0.1)
        self._connection: Any = None
        self._asked = False

    def wait(self, patience_s: float) -> None:
        """Return when the bell has rung, the call has ended or patience has."""
        if self._connection is None:
            self._connection = self._pool.get_connection()
        if not self._asked:
            self._connection.send_command("BLPOP", self._key, self._timeout_s)
            self._asked = True
            self._deadline = time.monotonic() + self._timeout_s + 5
        if self._connection.can_read(timeout=max(patience_s, 0)):
            self._asked = False
            self._connection.read_response()
        elif time.monotonic() > self._deadline:
            raise redis.TimeoutError("Redis has not answered in time.")

    def close(self) -> None:
        """Drop the connection: an answer may still be on its way to it."""
        connection, self._connection, self._asked = self._connection, None, False
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)


class PunctualBroker(RedisBroker):
    """A RedisBroker that rings on enqueue and takes back what an outage cost it."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)  # type: ignore[no-untyped-call]  # dramatiq's
        self._ring = self.client.register_script(_RING)

    @property
    def consumer_class(self) -> type[PunctualConsumer]:
        return PunctualConsumer

    def enqueue(self, message: Any, *, delay: int | None = None) -> Any:
        with _translated():
            enqueued = super().enqueue(message, delay=delay)
            self._ring(keys=[self.bell(enqueued.queue_name)])
        return enqueued

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Any:
        with _translated():
            if queue_name.endswith(".DQ"):
                self._reclaim(queue_name)
            return super().consume(queue_name, prefetch, timeout)

    def bell(self, queue_name: str) -> str:
        """The list that is rung when something is enqueued."""
        return f"{self.namespace}:{queue_name}.bell"

    def _reclaim(self, queue_name: str) -> None:
        """Put back the delayed messages that a consumer forgot with its connection.

        A consumer that starts holds none, so all that are still noted as ours are lost.
        """
        noted = f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}"
        ids = list(self.client.smembers(noted))
        for start in range(0, len(ids), RECLAIM_CHUNK):
            self.do_requeue(queue_name, *ids[start : start + RECLAIM_CHUNK])


def connect(url: str, middleware: list[Middleware]) -> PunctualBroker:
    """Make the broker; nothing is sent to Redis yet.

    Maintenance looks for the messages of dead workers on one fetch in 20 or so.
    """
    client = redis.Redis.from_url(
        url,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 4),
        socket_timeout=10,
        socket_connect_timeout=3,
        health_check_interval=30,
        max_connections=100,
        protocol=2,
    )
    return PunctualBroker(
        client=client,
        middleware=middleware,
        heartbeat_timeout=15_000,
        maintenance_chance=50_000,
    )


class UvLoop(AsyncIO):
    """Dramatiq's event loop thread on uvloop: a third less CPU for a poll."""

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        thread = EventLoopThread(self.logger)
        thread.loop.close()
        thread.loop = uvloop.new_event_loop()
        thread.start(timeout=5.0)
        set_event_loop_thread(thread)


# A consumer that has lost Redis is started again after this; Dramatiq waits 3 s, in
# which nothing is polled. It has read its variable before anybody could set it here.
if "dramatiq_restart_delay" not in os.environ:
    dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = RESTART_S

broker = connect(settings.broker_url, [UvLoop()])
dramatiq.set_broker(broker)
