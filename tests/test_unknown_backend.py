"""A job whose recipe is gone: it waits for a rolling deploy, then ends."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
from dramatiq.brokers.stub import StubBroker

from actors import Action, Job, Store, attend, now_ms, request, timestamp
from actors.status import Failure, Status
from actors.store.values import BackendState, Change

from .support.kitchen import Kitchen, Oven, working

GRACE_MS = 500
GONE = Failure("unknown_backend", "There is no backend called stove any more.")


@pytest.fixture
async def kitchen(store: Store, redis_url: str) -> AsyncIterator[Kitchen]:
    """A worker that knows the oven, but not the stove, and waits half a second."""
    broker = StubBroker(middleware=[])
    async with working(broker, store, Oven(), redis_url, 10, GRACE_MS) as ours:
        yield ours


async def add(kitchen: Kitchen, job: str, ref: str | None = "7") -> str:
    """A job of the stove; with a ref it was started when there was a recipe."""
    now = timestamp(now_ms())
    new = Job(job=job, backend="stove", can=("cancel",), created_at=now, changed_at=now)
    await kitchen.store.create(new, owner="ann", max_active=0, lane_size=200)
    await attend(kitchen.store, [job])
    if ref:
        lease = await kitchen.store.lease(job, "start")
        assert lease
        state = BackendState(ref=ref, heard_ms=now_ms())
        started = new.started(now_ms()).revised()
        change = Change(lease.job, started, state, lease.number, 0, 0)
        await kitchen.store.advance([change])
    return job


@pytest.mark.parametrize("ref", ["7", None])
async def test_it_fails_when_the_grace_is_over(
    kitchen: Kitchen, ref: str | None
) -> None:
    await add(kitchen, "soup", ref)

    ended = await kitchen.end("soup")

    assert (ended.status, ended.error) == (Status.FAILED, GONE)
    assert [told.reachable for told in kitchen.of("soup")[:-1]][-1] is False


async def test_a_stop_of_it_does_not_last_for_ever(kitchen: Kitchen) -> None:
    await add(kitchen, "soup")
    await request(kitchen.store, "soup", Action.CANCEL, owner="ann")

    ended = await kitchen.end("soup")

    assert (ended.status, ended.error) == (Status.FAILED, GONE)


async def test_one_that_was_never_started_is_stopped_at_once(kitchen: Kitchen) -> None:
    await add(kitchen, "soup", None)
    await request(kitchen.store, "soup", Action.CANCEL, owner="ann")

    assert (await kitchen.end("soup")).status is Status.CANCELLED


async def test_it_goes_on_if_the_recipe_comes_in_time(
    store: Store, redis_url: str
) -> None:
    broker = StubBroker(middleware=[])
    async with working(broker, store, Oven(), redis_url, 10, 60_000) as old:
        await add(old, "soup")
        await old.until("soup", lambda job: not job.reachable)
    stove = Oven("stove")
    async with working(
        StubBroker(middleware=[]), store, stove, redis_url, 10, 0
    ) as new:
        job = await new.until("soup", lambda job: job.reachable)

    assert job.status is Status.RUNNING
    assert (await store.backend_state("soup")).unknown_since_ms == 0


async def test_the_others_go_on_and_the_log_says_it_once(
    kitchen: Kitchen, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        for number in range(20):
            await add(kitchen, f"soup-{number}")
        bread = await kitchen.submit()
        await kitchen.happens(lambda: len(kitchen.oven.times(bread)) > 3)
        for number in range(20):
            await kitchen.end(f"soup-{number}")

    lines = [record for record in caplog.records if "stove" in record.getMessage()]
    assert len(lines) == 1
