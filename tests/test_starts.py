"""A job's start: once, again if it failed, and also if its message is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from actors import Action, request
from actors.backends import Started
from actors.messages import send_start
from actors.status import Failure, Status
from actors.store import Store
from actors.store.values import Lease

from .support.kitchen import AWAY, DONE, REFUSED, Kitchen, Oven, working
from .support.storing import claimed, create, let_leases_run_out


async def test_a_start_that_is_refused_fails_the_job_with_the_reason(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.start_errors = [REFUSED]

    ended = await kitchen.end(await kitchen.submit())

    assert ended.status is Status.FAILED
    assert ended.error == Failure("http_422", "Too many loaves.")
    assert len(kitchen.oven.started) == 1
    assert kitchen.oven.asked == []


async def test_a_start_that_fails_twice_is_tried_again(kitchen: Kitchen) -> None:
    kitchen.oven.start_errors = [AWAY, AWAY]
    kitchen.oven.answers = [DONE]

    job = await kitchen.watched()

    assert (await kitchen.end(job)).status is Status.SUCCEEDED
    assert kitchen.oven.started == [job] * 3
    assert [told.reachable for told in kitchen.of(job)][:2] == [False, True]


async def test_a_start_that_always_fails_fails_the_job(kitchen: Kitchen) -> None:
    kitchen.oven.start_errors = [AWAY] * 100

    ended = await kitchen.end(await kitchen.submit())

    assert ended.status is Status.FAILED
    assert ended.error == Failure("unreachable", "The oven is away.")
    assert 1 < len(kitchen.oven.started) < 10


async def test_a_job_whose_start_message_is_lost_is_started_by_the_chain(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.answers = [DONE]

    await kitchen.add("lost")

    assert (await kitchen.end("lost")).complete
    assert kitchen.oven.started == ["lost"]


async def test_a_start_that_takes_long_happens_once(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [DONE]
    kitchen.oven.hanging.add("slow")
    await kitchen.add("slow")
    await send_start("slow")
    begun = time.monotonic()

    await kitchen.happens(lambda: time.monotonic() - begun > 1.7)
    kitchen.oven.hanging.clear()

    assert (await kitchen.end("slow")).complete
    assert kitchen.oven.started == ["slow"]


# A start that must not be sent twice


@pytest.fixture
def careful(kitchen: Kitchen) -> Kitchen:
    kitchen.oven.starts_once = True
    kitchen.oven.answers = [DONE]
    return kitchen


async def abandoned(kitchen: Kitchen, job: str) -> Lease:
    """As if a worker had died just after it sent the start."""
    await kitchen.add(job)
    lease = await kitchen.store.lease(job, "start")
    assert lease
    assert await kitchen.store.note_sent(lease)
    return lease


async def test_a_worker_that_dies_during_a_start_leaves_no_second_one(
    careful: Kitchen,
) -> None:
    await abandoned(careful, "job")

    ended = await careful.end("job")

    assert ended.status is Status.FAILED
    assert ended.error
    assert ended.error.code == "start_unknown"
    assert "may be running there" in ended.error.message
    assert careful.oven.started == []


async def test_a_stop_does_not_hide_that_the_job_may_be_running(
    careful: Kitchen,
) -> None:
    await abandoned(careful, "job")
    await request(careful.store, "job", Action.CANCEL, owner="ann")

    ended = await careful.end("job")

    assert ended.error
    assert ended.error.code == "start_unknown"
    assert careful.oven.started == []


async def test_a_safe_start_is_sent_again_by_another_worker(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [DONE]
    await abandoned(kitchen, "job")

    assert (await kitchen.end("job")).complete
    assert kitchen.oven.started == ["job"]


async def test_a_start_that_was_not_heard_is_sent_again_all_the_same(
    careful: Kitchen,
) -> None:
    careful.oven.start_errors = [AWAY, AWAY]

    job = await careful.submit()

    assert (await careful.end(job)).complete
    assert careful.oven.started == [job] * 3


async def test_a_bug_after_the_start_is_no_reason_to_send_it_again(
    careful: Kitchen,
) -> None:
    careful.oven.start_errors = [RuntimeError("a bug in a backend")]

    job = await careful.submit()
    ended = await careful.end(job)

    assert ended.error
    assert ended.error.code == "start_unknown"
    assert careful.oven.started == [job]


async def test_a_careful_start_that_takes_long_happens_once(careful: Kitchen) -> None:
    careful.oven.hanging.add("slow")
    await careful.add("slow")
    await send_start("slow")
    begun = time.monotonic()

    await careful.happens(lambda: time.monotonic() - begun > 1.7)
    careful.oven.hanging.clear()

    assert (await careful.end("slow")).complete
    assert careful.oven.started == ["slow"]


async def test_only_the_worker_that_has_the_lease_may_send_a_start(
    store: Store, clean_redis: redis.Redis
) -> None:
    await create(store, "job")
    late = await claimed(store, "job")
    await let_leases_run_out(clean_redis, "job")
    await claimed(store, "job", "request")

    assert not await store.note_sent(late)
    assert (await store.backend_state("job")).sent_ms == 0


async def test_a_worker_that_leaves_during_a_start_leaves_no_second_one(
    store: Store, redis_url: str
) -> None:
    class Slow(Oven):
        async def start(self, job: str, params: Mapping[str, Any]) -> Started:
            self.started.append(job)
            await asyncio.Event().wait()
            return Started(job)

    slow, quick = Slow(), Oven()
    slow.starts_once = quick.starts_once = True
    async with working(StubBroker(middleware=[]), store, slow, redis_url, 10) as first:
        job = await first.submit()
        await first.happens(lambda: slow.started)

    async with working(StubBroker(middleware=[]), store, quick, redis_url, 10) as next_:
        ended = await next_.end(job)

    assert ended.error
    assert ended.error.code == "start_unknown"
    assert (slow.started, quick.started) == ([job], [])
