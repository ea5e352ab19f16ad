"""A consumer like Dramatiq's own, on time and at no cost while idle.

Dramatiq's Redis consumer asks again and again, with pauses of up to
`dramatiq_worker_timeout`, and looks at its delayed messages only in between. This one
waits on a list that every enqueue rings, and no longer than until the nearest eta that
it holds. The client ends the wait: Redis ends a blocked call up to 100 ms late.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import current_millis
from dramatiq.errors import ConnectionClosed

from actors.libraries import rely_on

AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,  # as in a failover
    redis.exceptions.MasterDownError,
    redis.exceptions.OutOfMemoryError,
)
FULL_S = 0.005
LATE_S = 2  # Redis ends a blocked call up to 0.1 s late

rely_on(
    _RedisConsumer,
    *("message_cache", "queued_message_ids", "outstanding_message_count"),
    *("prefetch", "timeout", "queue_name", "broker"),
)
rely_on(RedisBroker, "client", "_dispatch")  # behind do_fetch and do_requeue
rely_on(redis.connection.Connection, "can_read", "send_command", "read_response")


@contextmanager
def translated() -> Iterator[None]:
    """Raise the error with which Dramatiq tries again, if Redis will be there again."""
    try:
        yield
    except AWAY as error:
        raise ConnectionClosed(error) from None


class PunctualConsumer(_RedisConsumer):
    """A consumer that an enqueue wakes, or an eta that it holds."""

    def __init__(
        self, broker: Any, queue_name: str, prefetch: int, timeout: int
    ) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)  # type: ignore[no-untyped-call]  # dramatiq's
        self._bell = _Bell(broker.client, broker.bell(queue_name), timeout / 1000)
        self._etas: list[int] = []

    def __next__(self) -> Any:
        """Return the next message, or None after a wait without one."""
        with translated():
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
        with translated():
            super().ack(message)  # type: ignore[no-untyped-call]  # dramatiq's

    def nack(self, message: Any) -> None:
        with translated():
            super().nack(message)  # type: ignore[no-untyped-call]  # dramatiq's

    def requeue(self, messages: Any) -> None:
        with translated():
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
        self._has_asked = False

    def wait(self, patience_s: float) -> None:
        """Return when the bell has rung, the call has ended or patience has."""
        if self._connection is None:
            self._connection = self._pool.get_connection()
        if not self._has_asked:
            self._connection.send_command("BLPOP", self._key, self._timeout_s)
            self._has_asked = True
            self._deadline = time.monotonic() + self._timeout_s + LATE_S
        if self._connection.can_read(timeout=max(patience_s, 0)):
            self._has_asked = False
            self._connection.read_response()
        elif time.monotonic() > self._deadline:
            raise redis.TimeoutError("Redis has not answered in time.")

    def close(self) -> None:
        """Drop the connection: an answer may still be on its way to it."""
        connection, self._connection, self._has_asked = self._connection, None, False
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)
