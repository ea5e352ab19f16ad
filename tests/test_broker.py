"""The broker on a real Redis: on time, quiet while idle, and there after an outage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dramatiq
import dramatiq.worker
import pytest
import redis
from dramatiq.errors import ConnectionClosed

from actors.broker import PunctualBroker
from dev.processes import wait_for
from dev.redis import embedded

TIMEOUT_MS = 500
QUEUE = "bakery"


class Bakery:
    """An actor that notes when it ran, on a broker of its own."""

    def __init__(self, url: str) -> None:
        self.broker = PunctualBroker()
        self.broker.connect(url)
        self.broker.namespace = "progrock:dramatiq:test"
        self.ran: list[tuple[str, float]] = []
        self.bake = dramatiq.actor(
            self.note, broker=self.broker, queue_name=QUEUE, actor_name="bake"
        )
        self.bake_slowly = dramatiq.actor(
            self.take_time, broker=self.broker, queue_name=QUEUE, actor_name="slow"
        )

    def note(self, loaf: str) -> None:
        self.ran.append((loaf, time.monotonic()))

    def take_time(self, loaf: str) -> None:
        time.sleep(0.005)
        self.note(loaf)

    def when(self, loaf: str) -> float:
        """Wait until it has run; gives when it did."""
        wait_for(lambda: loaf in dict(self.ran), timeout_s=10)
        return dict(self.ran)[loaf]

    @contextmanager
    def open(self, threads: int = 2, timeout_ms: int = TIMEOUT_MS) -> Iterator[None]:
        """Inside, a worker works, and is idle to begin with."""
        worker = dramatiq.Worker(
            self.broker, worker_timeout=timeout_ms, worker_threads=threads
        )
        worker.start()
        try:
            self.bake.send("first")
            self.when("first")
            yield
        finally:
            worker.stop(timeout=5000)


@pytest.fixture
def bakery(clean_redis: redis.Redis, redis_url: str) -> Iterator[Bakery]:
    bakery = Bakery(redis_url)
    yield bakery
    bakery.broker.close()
    bakery.broker.client.close()


def test_a_delayed_message_is_on_time(bakery: Bakery) -> None:
    late_ms = []
    with bakery.open():
        for n in range(5):
            sent = time.monotonic()
            bakery.bake.send_with_options(args=[f"loaf-{n}"], delay=200)
            late_ms.append((bakery.when(f"loaf-{n}") - sent) * 1000 - 200)

    assert min(late_ms) >= -1
    assert sorted(late_ms)[2] < 30
    assert max(late_ms) < 300


def test_messages_are_on_time_beside_others(bakery: Bakery) -> None:
    """Nearer and farther etas in one queue do not make each other late."""
    with bakery.open():
        sent = time.monotonic()
        for delay in (400, 100, 300, 200, 101):
            bakery.bake.send_with_options(args=[f"{delay}"], delay=delay)
        for delay in (100, 101, 200, 300, 400):
            took_ms = (bakery.when(f"{delay}") - sent) * 1000
            assert delay - 1 <= took_ms < delay + 200


def test_an_enqueue_wakes_a_consumer_that_waits(bakery: Bakery) -> None:
    took_s = []
    with bakery.open():
        for n in range(5):
            time.sleep(0.02)
            sent = time.monotonic()
            bakery.bake.send(f"loaf-{n}")
            took_s.append(bakery.when(f"loaf-{n}") - sent)

    assert sorted(took_s)[2] < 0.05
    assert max(took_s) < 0.3


def test_a_burst_goes_through_without_pauses(bakery: Bakery) -> None:
    """More than a consumer may hold at once, and nobody rings again."""
    with bakery.open(threads=2):
        sent = time.monotonic()
        for n in range(60):
            bakery.bake_slowly.send(f"loaf-{n}")
        last = max(bakery.when(f"loaf-{n}") for n in range(60))

    assert last - sent < 1.5


def test_an_eta_that_passes_while_a_consumer_looks_is_not_slept_over(
    bakery: Bakery, clean_redis: redis.Redis
) -> None:
    bakery.bake.send_with_options(args=["loaf"], delay=30)
    consumer = bakery.broker.consume(f"{QUEUE}.DQ", prefetch=10, timeout=5000)
    assert next(consumer)
    clean_redis.delete(bakery.broker.bell(f"{QUEUE}.DQ"))
    time.sleep(0.04)

    asked = time.monotonic()
    assert next(consumer) is None

    assert time.monotonic() - asked < 1
    consumer.close()


def test_a_consumer_that_is_idle_asks_little(
    bakery: Bakery, clean_redis: redis.Redis
) -> None:
    with bakery.open(timeout_ms=1000):
        time.sleep(0.3)
        clean_redis.config_resetstat()
        counted = time.monotonic()
        wait_for(lambda: time.monotonic() - counted > 1)
        stats = clean_redis.info("commandstats")

    asked = {
        name.removeprefix("cmdstat_"): each["calls"]
        for name, each in stats.items()
        if name in ("cmdstat_evalsha", "cmdstat_blpop", "cmdstat_eval")
    }
    assert 0 < sum(asked.values()) <= 10


def test_a_consumer_that_was_cut_off_is_back_at_once(
    bakery: Bakery, clean_redis: redis.Redis
) -> None:
    with bakery.open():
        cut = time.monotonic()
        clean_redis.client_kill_filter(_type="normal", skipme=True)
        bakery.bake.send("loaf")

        assert bakery.when("loaf") - cut < 1.5


def test_messages_survive_an_outage() -> None:
    with embedded(append_only=True) as server:
        bakery = Bakery(server.url)
        with bakery.open():
            due = time.monotonic() + 1.5
            for n in range(20):
                bakery.bake.send_with_options(args=[f"loaf-{n}"], delay=1500)
            wait_for(lambda: waiting(server.url) == 0)
            time.sleep(0.3)  # the delayed ones are only in the worker's memory now

            server.kill()
            time.sleep(0.2)
            with pytest.raises(ConnectionClosed):
                bakery.bake.send("lost")
            server.start()

            for n in range(20):
                assert bakery.when(f"loaf-{n}") >= due - 0.01
            bakery.bake.send("after")
            bakery.when("after")
        bakery.broker.close()
        bakery.broker.client.close()

    assert len(bakery.ran) == len(dict(bakery.ran))


def waiting(url: str) -> int:
    """How many delayed messages no consumer has taken yet."""
    with redis.Redis.from_url(url) as client:
        return client.llen(f"progrock:dramatiq:test:{QUEUE}.DQ")


def test_what_a_lost_redis_raises_is_what_dramatiq_expects(bakery: Bakery) -> None:
    with embedded() as server:
        other = Bakery(server.url)
        consumer = other.broker.consume(QUEUE, prefetch=2, timeout=100)
        other.bake.send("loaf")
        message = next(consumer)
        server.kill()

        attempts: list[Callable[[], object]] = [
            lambda: next(consumer),
            lambda: consumer.ack(message),
            lambda: consumer.nack(message),
            lambda: consumer.requeue([message]),
            lambda: other.broker.consume(f"{QUEUE}.DQ"),
            lambda: other.bake.send("loaf"),
        ]
        for attempt in attempts:
            with pytest.raises(ConnectionClosed):
                attempt()
        consumer.close()
        other.broker.client.close()


def test_closing_a_consumer_leaves_no_connection_waiting(
    bakery: Bakery, clean_redis: redis.Redis
) -> None:
    consumer = bakery.broker.consume(QUEUE, prefetch=2, timeout=5000)
    asked = threading.Thread(target=lambda: next(consumer))
    asked.start()
    wait_for(lambda: blocked(clean_redis) == 1)
    bakery.bake.send("loaf")
    asked.join()

    consumer.close()

    wait_for(lambda: blocked(clean_redis) == 0)


def blocked(client: redis.Redis) -> int:
    return sum("b" in each["flags"] for each in client.client_list())


def test_a_bell_that_nobody_hears_does_not_grow(
    bakery: Bakery, clean_redis: redis.Redis
) -> None:
    for n in range(50):
        bakery.bake.send(f"loaf-{n}")

    bell = bakery.broker.bell(QUEUE)
    assert clean_redis.llen(bell) <= 10
    assert 0 < clean_redis.pttl(bell) <= 10_000


def test_dramatiq_still_notes_delayed_messages_where_they_are_reclaimed(
    bakery: Bakery, clean_redis: redis.Redis
) -> None:
    bakery.bake.send_with_options(args=["loaf"], delay=60_000)
    broker: PunctualBroker = bakery.broker
    forgetful = broker.consume(f"{QUEUE}.DQ", prefetch=10, timeout=100)
    assert next(forgetful)

    again = broker.consume(f"{QUEUE}.DQ", prefetch=10, timeout=100)

    assert next(again)
    noted = f"{broker.namespace}:__acks__.{broker.broker_id}.{QUEUE}.DQ"
    assert clean_redis.scard(noted) == 1
