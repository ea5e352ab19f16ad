"""One job's failure is its own alone: the others are written, and it ends as well."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import redis
from dramatiq.brokers.stub import StubBroker

from actors import Action, Settings, Store, request
from actors.limits import MAX_NESTING
from actors.report import Report
from actors.status import Status
from actors.worker.loop import WorkerProcess

from .support.kitchen import DONE, Kitchen, Oven, at, working


@pytest.fixture
async def kitchen(store: Store, redis_url: str) -> AsyncIterator[Kitchen]:
    """A worker whose backend answers for many jobs at once."""
    oven = Oven()
    oven.batch_size, oven.give_up_after_s = 50, 1
    async with working(StubBroker(middleware=[]), store, oven, redis_url, 10) as ours:
        yield ours


async def test_an_answer_that_cannot_be_written_hurts_no_other_job(
    kitchen: Kitchen,
) -> None:
    unwritable = Report(status=Status.SUCCEEDED, result={"what": object()})
    kitchen.oven.by_job["bad"] = [unwritable]
    good = [await kitchen.add(f"good-{number}") for number in range(20)]
    await kitchen.add("bad")
    for job in good:
        kitchen.oven.by_job[job] = [at(10), at(20), at(30), DONE]

    ended = [await kitchen.end(job) for job in good]
    bad_end = await kitchen.end("bad")

    assert all(job.status is Status.SUCCEEDED for job in ended)
    assert bad_end.status is Status.FAILED
    assert bad_end.error
    assert bad_end.error.code == "given_up"
    assert max(late_s(kitchen, job) for job in good) < 1


def late_s(kitchen: Kitchen, job: str) -> float:
    """The longest pause between two calls for a job."""
    times = kitchen.oven.times(job)
    return max(later - sooner for sooner, later in pairwise(times))


@pytest.mark.parametrize("error", [ZeroDivisionError(), OverflowError(), KeyError("x")])
async def test_an_unforeseen_error_backs_off_and_gives_up(
    kitchen: Kitchen, error: Exception
) -> None:
    kitchen.oven.batch_size = 1
    kitchen.oven.answers = [error]

    ended = await kitchen.end(await kitchen.submit())

    assert ended.error
    assert ended.error.code == "given_up"
    assert [told.reachable for told in kitchen.of(ended.job)][-1] is False
    assert len(kitchen.oven.asked) < 20


async def test_a_job_that_fails_in_this_way_can_be_stopped(kitchen: Kitchen) -> None:
    kitchen.oven.batch_size, kitchen.oven.give_up_after_s = 1, 60
    kitchen.oven.answers = [ZeroDivisionError()]
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: not job.reachable)

    await request(kitchen.store, job, Action.CANCEL, owner="ann")

    assert (await kitchen.end(job)).status is Status.CANCELLED


async def test_a_start_that_fails_in_an_unforeseen_way_fails_the_job(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.start_errors = [ZeroDivisionError()] * 100

    ended = await kitchen.end(await kitchen.submit())

    assert ended.error
    assert ended.error.code == "unexpected_answer"
    assert len(kitchen.oven.started) < 10


async def test_a_job_that_cannot_be_read_stops_no_other_of_its_lane(
    kitchen: Kitchen, clean_redis: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await kitchen.add("bad")
    bread = await kitchen.submit()

    def is_noticed() -> bool:
        clean_redis.hset("progrock:2:job:bad", "snapshot", '{"status": "risen"}')
        return "Job bad cannot be read" in caplog.text

    await kitchen.happens(is_noticed)

    before = len(kitchen.oven.times(bread))
    await kitchen.happens(lambda: len(kitchen.oven.times(bread)) > before + 5)


def test_a_worker_that_cannot_start_ends() -> None:
    process = WorkerProcess(Settings.read(os.environ), {})

    with pytest.raises(SystemExit):
        process.after_process_boot(StubBroker())  # which cannot be connected


def test_the_nesting_limit_is_far_below_the_interpreters() -> None:
    assert MAX_NESTING == 32
