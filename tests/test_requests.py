"""Requests (cancel, pause, resume): each reaches the backend, and is settled by it."""

from __future__ import annotations

import asyncio

import pytest

from actors import Action, Handle, Job, NotPossibleError, Store, request
from actors.messages import (
    send_start,
)
from actors.requests import RequestState
from actors.status import Status

from .support import jobs
from .support.kitchen import AWAY, DONE, GONE, PAUSED, REFUSED, RUNNING, Kitchen, at


async def test_a_cancel_reaches_the_backend_and_ends_the_job(kitchen: Kitchen) -> None:
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)

    stopping = await request(kitchen.store, job, Action.CANCEL, owner="ann")
    ended = await kitchen.end(job)

    assert (stopping.status, stopping.can) == (Status.STOPPING, ())
    assert ended.status is Status.CANCELLED
    assert ended.error is None
    assert kitchen.oven.requests == [(Action.CANCEL, job)]


async def test_a_cancel_does_not_wait_for_the_next_poll(kitchen: Kitchen) -> None:
    kitchen.oven.idle_interval_ms = 60_000
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)

    await request(kitchen.store, job, Action.CANCEL, owner="ann")

    assert (await kitchen.end(job)).status is Status.CANCELLED


async def test_a_cancel_before_the_start_never_calls_the_backend(
    kitchen: Kitchen,
) -> None:
    await kitchen.add("early")

    await request(kitchen.store, "early", Action.CANCEL, owner="ann")
    await send_start("early")

    assert (await kitchen.end("early")).status is Status.CANCELLED
    assert kitchen.oven.started == kitchen.oven.requests == []


async def test_a_cancel_while_it_is_started_is_sent_afterwards(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.hanging.add("slow")
    await kitchen.add("slow")
    await send_start("slow")
    await kitchen.happens(lambda: kitchen.oven.started)

    await request(kitchen.store, "slow", Action.CANCEL, owner="ann")
    kitchen.oven.hanging.clear()

    assert (await kitchen.end("slow")).status is Status.CANCELLED
    assert kitchen.oven.requests == [(Action.CANCEL, "slow")]


async def test_a_cancel_while_a_start_waits_to_be_tried_again_is_at_once(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.idle_interval_ms = 60_000
    kitchen.oven.start_errors = [AWAY] * 100
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: not job.reachable)

    await request(kitchen.store, job, Action.CANCEL, owner="ann")

    assert (await kitchen.end(job)).status is Status.CANCELLED
    assert len(kitchen.oven.started) == 1


async def test_a_cancel_is_at_once_while_a_poll_hangs(kitchen: Kitchen) -> None:
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)
    kitchen.oven.hanging.add(job)
    asked = len(kitchen.oven.asked)
    await kitchen.happens(lambda: len(kitchen.oven.asked) > asked)

    await request(kitchen.store, job, Action.CANCEL, owner="ann")

    await kitchen.happens(lambda: kitchen.oven.requests)
    kitchen.oven.hanging.clear()
    assert (await kitchen.end(job)).status is Status.CANCELLED


async def test_a_cancel_that_fails_is_tried_again(kitchen: Kitchen) -> None:
    kitchen.oven.request_errors = [AWAY, AWAY]
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)

    await request(kitchen.store, job, Action.CANCEL, owner="ann")

    assert (await kitchen.end(job)).status is Status.CANCELLED
    assert len(kitchen.oven.requests) == 3


async def test_a_job_that_its_backend_does_not_stop_ends_by_itself(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.request_errors = [AWAY] * 100
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)
    await request(kitchen.store, job, Action.CANCEL, owner="ann")
    await kitchen.happens(lambda: len(kitchen.oven.requests) >= 2)

    kitchen.oven.answers = [DONE]

    assert (await kitchen.end(job)).status is Status.SUCCEEDED


async def test_a_job_that_is_gone_when_it_is_stopped_is_cancelled(
    kitchen: Kitchen,
) -> None:
    job = await kitchen.submit()
    await kitchen.happens(lambda: kitchen.oven.asked)
    kitchen.oven.request_errors = [None, None]  # it keeps its answers
    kitchen.oven.answers = [RUNNING, GONE]

    await request(kitchen.store, job, Action.CANCEL, owner="ann")

    ended = await kitchen.end(job)
    assert (ended.status, ended.error) == (Status.CANCELLED, None)


async def test_a_backend_is_told_which_job_it_is_and_that_it_was_stopped(
    kitchen: Kitchen,
) -> None:
    """So that it can tell an end that was the stop from any other end."""
    kitchen.oven.obeyed[Action.CANCEL] = at(50)
    job = await kitchen.submit(loaves=2)
    await kitchen.until(job, lambda job: job.observed_at != job.started_at)
    await request(kitchen.store, job, Action.CANCEL, owner="ann")

    await kitchen.happens(lambda: kitchen.oven.handles[-1].is_stopped)

    first, *_, last = kitchen.oven.handles
    started_at = (await kitchen.job(job)).started_at
    assert first == Handle(job, job, {"loaves": 2}, started_at, is_seen=False)
    assert last == first._replace(is_stopped=True, is_seen=True)


async def test_a_second_cancel_changes_nothing(kitchen: Kitchen) -> None:
    job = await kitchen.submit()
    first = await request(kitchen.store, job, Action.CANCEL, owner="ann")
    second = await request(kitchen.store, job, Action.CANCEL, owner="ann")
    ended = await kitchen.end(job)

    assert second.status in (Status.STOPPING, Status.CANCELLED)
    assert second.revision >= first.revision
    assert await request(kitchen.store, job, Action.CANCEL, owner="ann") == ended


async def test_what_cannot_be_stopped_is_not(kitchen: Kitchen) -> None:
    kitchen.oven.can = ()
    job = await kitchen.submit()

    with pytest.raises(NotPossibleError):
        await request(kitchen.store, job, Action.CANCEL, owner="ann")

    assert not (await kitchen.job(job)).finished


async def test_a_job_that_is_not_there_cannot_be_stopped(kitchen: Kitchen) -> None:
    with pytest.raises(KeyError):
        await request(kitchen.store, "nothing", Action.CANCEL, owner="ann")


# Pausing and resuming


async def asked(kitchen: Kitchen, job: str, action: Action) -> Job:
    return await request(kitchen.store, job, action, owner="ann")


async def test_a_job_is_paused_and_resumed(kitchen: Kitchen) -> None:
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.status is Status.RUNNING)

    paused = await asked(kitchen, job, Action.PAUSE)
    assert (paused.status, paused.can) == (Status.RUNNING, kitchen.oven.can)
    await kitchen.until(job, lambda job: job.status is Status.PAUSED)
    await asked(kitchen, job, Action.RESUME)
    await kitchen.until(job, lambda job: job.status is Status.RUNNING)

    assert kitchen.oven.requests == [(Action.PAUSE, job), (Action.RESUME, job)]


async def test_a_request_tells_how_far_it_has_come(kitchen: Kitchen) -> None:
    job = await kitchen.watched()
    await kitchen.until(job, lambda job: job.status is Status.RUNNING)

    await asked(kitchen, job, Action.PAUSE)
    await kitchen.until(job, lambda job: job.status is Status.PAUSED)

    requests = [told.request for told in kitchen.of(job) if told.request]
    states = [each.state for each in requests]
    assert states == sorted(states, key=list(RequestState).index)
    assert {RequestState.ASKED, RequestState.CONFIRMED} <= set(states)
    assert len({each.asked_at for each in requests}) == 1


async def test_a_request_that_comes_too_late_says_so(kitchen: Kitchen) -> None:
    kitchen.oven.idle_interval_ms = kitchen.oven.poll_interval_ms = 60_000
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.observed_at != job.started_at)
    kitchen.oven.answers = [DONE]
    kitchen.oven.request_errors = [AWAY]

    await asked(kitchen, job, Action.CANCEL)
    ended = await kitchen.end(job)

    assert ended.status is Status.SUCCEEDED
    assert ended.request
    assert ended.request.state is RequestState.TOO_LATE


async def test_a_resume_that_ended_well_at_once_is_confirmed(kitchen: Kitchen) -> None:
    kitchen.oven.answers = [PAUSED]
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.status is Status.PAUSED)
    kitchen.oven.obeyed[Action.RESUME] = DONE

    await asked(kitchen, job, Action.RESUME)
    ended = await kitchen.end(job)

    assert ended.status is Status.SUCCEEDED
    assert ended.request
    assert ended.request.state is RequestState.CONFIRMED


@pytest.mark.parametrize("action", [Action.CANCEL, Action.PAUSE])
async def test_a_refused_request_says_why_and_the_job_goes_on(
    kitchen: Kitchen, action: Action
) -> None:
    kitchen.oven.answers = [at(10), at(20), at(30), at(40)]
    kitchen.oven.request_errors = [REFUSED, None]
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.status is Status.RUNNING)

    await asked(kitchen, job, action)
    refused = await kitchen.until(
        job, lambda job: job.request and not job.request.is_open
    )

    assert refused.request
    assert refused.request.state is RequestState.REFUSED
    assert refused.request.message == "Too many loaves."
    assert (refused.status, refused.reachable) == (Status.RUNNING, True)
    assert refused.can == kitchen.oven.can
    await kitchen.until(job, lambda job: job.progress == 40)
    assert len(kitchen.oven.requests) == 1

    kitchen.oven.request_errors = []
    again = await asked(kitchen, job, action)
    assert again.request
    assert again.request.message is None
    await kitchen.happens(lambda: len(kitchen.oven.requests) == 2)


async def test_a_job_moves_on_while_a_request_cannot_be_delivered(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.give_up_after_s = 1
    kitchen.oven.answers = [at(10), at(20), at(30), at(40)]
    kitchen.oven.request_errors = [AWAY] * 1000
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.status is Status.RUNNING)

    await asked(kitchen, job, Action.PAUSE)

    moved = await kitchen.until(job, lambda job: job.progress == 40)
    assert moved.reachable
    assert moved.request
    assert moved.request.state is RequestState.ASKED


async def test_a_job_that_ends_by_itself_is_noticed_though_a_request_fails(
    kitchen: Kitchen,
) -> None:
    kitchen.oven.request_errors = [ZeroDivisionError()] * 1000
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.status is Status.RUNNING)
    kitchen.oven.answers = [DONE]

    await asked(kitchen, job, Action.PAUSE)

    assert (await kitchen.end(job)).status is Status.SUCCEEDED


@pytest.mark.parametrize("action", [Action.CANCEL, Action.PAUSE])
async def test_a_request_that_the_backend_has_dropped_may_be_asked_again(
    kitchen: Kitchen, action: Action
) -> None:
    kitchen.oven.obeyed[action] = RUNNING
    job = await kitchen.submit()
    await kitchen.until(job, lambda job: job.status is Status.RUNNING)
    await asked(kitchen, job, action)
    await kitchen.until(job, is_sent)
    before = len(kitchen.oven.requests)

    async with asyncio.timeout(10):
        while len(kitchen.oven.requests) == before:
            await asked(kitchen, job, action)
            await asyncio.sleep(0.1)

    assert set(kitchen.oven.requests) == {(action, job)}


def is_sent(job: Job) -> bool:
    return job.request is not None and job.request.state is RequestState.SENT


async def test_a_job_that_its_backend_stops_may_be_stopped(store: Store) -> None:
    job = await jobs.add(store, owner="ann")
    job = await jobs.move(store, job, status=Status.STOPPING)

    stopping = await request(store, job.job, Action.CANCEL, owner="ann")

    assert stopping.status is Status.STOPPING
    assert stopping.request


async def test_a_pause_before_the_start_is_sent_after_it(kitchen: Kitchen) -> None:
    kitchen.oven.hanging.add("slow")
    await kitchen.add("slow")
    await send_start("slow")
    await kitchen.happens(lambda: kitchen.oven.started)

    await asked(kitchen, "slow", Action.PAUSE)
    kitchen.oven.hanging.clear()

    await kitchen.until("slow", lambda job: job.status is Status.PAUSED)
    assert kitchen.oven.requests == [(Action.PAUSE, "slow")]


async def test_a_paused_job_can_be_stopped(kitchen: Kitchen) -> None:
    job = await kitchen.submit()
    await asked(kitchen, job, Action.PAUSE)
    await kitchen.until(job, lambda job: job.status is Status.PAUSED)

    await asked(kitchen, job, Action.CANCEL)

    assert (await kitchen.end(job)).status is Status.CANCELLED


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (Action.RESUME, Status.RUNNING),
        (Action.PAUSE, Status.PAUSED),
        (Action.PAUSE, Status.STOPPING),
        (Action.RESUME, Status.STOPPING),
        (Action.PAUSE, Status.SUCCEEDED),
    ],
)
async def test_an_action_that_does_not_fit_the_status_is_refused(
    store: Store, action: Action, status: Status
) -> None:
    job = await jobs.add(store, owner="ann", can=("cancel", "pause", "resume"))
    job = await jobs.move(store, job, status=status, finished=status.terminal)

    with pytest.raises(NotPossibleError):
        await request(store, job.job, action, owner="ann")


async def test_anothers_job_takes_no_requests(kitchen: Kitchen) -> None:
    job = await kitchen.submit()

    with pytest.raises(KeyError):
        await request(kitchen.store, job, Action.CANCEL, owner="bob")
