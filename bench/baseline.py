"""The baseline: stock Dramatiq, one self-rescheduling message per job and poll.

`dramatiq bench.baseline` is its worker. It polls the same demo service over kept-alive
connections and publishes each answer, with no store, no recipe and no safety.
"""

from __future__ import annotations

import http.client
import os
import threading
from urllib.parse import urlsplit

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

POLL_INTERVAL_MS = 200
CHANNEL = "baseline"

broker = RedisBroker(url=os.environ["REDIS_URL"])
dramatiq.set_broker(broker)
_redis = redis.Redis.from_url(os.environ["REDIS_URL"])
_local = threading.local()


@dramatiq.actor(max_retries=0)
def poll(job: str) -> None:
    """Ask for one job, publish the answer, and do so again in 200 ms."""
    connection = _connection()
    connection.request("GET", job)
    answer = connection.getresponse().read()
    _redis.publish(CHANNEL, job.encode() + b" " + answer)
    poll.send_with_options(args=(job,), delay=POLL_INTERVAL_MS)


def _connection() -> http.client.HTTPConnection:
    if not hasattr(_local, "connection"):
        service = urlsplit(os.environ["DEMO_URL"]).netloc
        _local.connection = http.client.HTTPConnection(service)
    connection: http.client.HTTPConnection = _local.connection
    return connection
