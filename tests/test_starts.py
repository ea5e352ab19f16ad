"""A job's start: once, again if it failed, and also if its message is lost."""

from __future__ import annotations

import time

from actors.messages import (
    send_start,
)
from actors.status import Failure, Status

from .support.kitchen import (
    AWAY,
    DONE,
    REFUSED,
    Kitchen,
)


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

    job = await kitchen.submit()

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
