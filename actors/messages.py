"""The actors (start a job, poll a lane of jobs, pass a request on), and sending them.

Each may run twice, late or never. The beat's number is a fencing token, a lease's
number is another, and a message that is lost is found again on the work list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import dramatiq
from dramatiq.errors import BrokerConnectionError

from actors.broker import broker
from actors.store.redis import CALL_S
from actors.store.values import Beat

if TYPE_CHECKING:  # a process that only sends needs no worker
    from actors.worker.calls import Calls

logger = logging.getLogger(__name__)

# Threads only for sending: a broker that hangs must not block other work in threads.
_senders = ThreadPoolExecutor(thread_name_prefix="send")

_calls: Calls | None = None


def work_with(calls: Calls | None) -> None:
    """Give this process's actors the calls that they hand jobs to."""
    global _calls
    _calls = calls


def calls() -> Calls:
    assert _calls is not None, "work_with() comes before the first message"
    return _calls


@dramatiq.actor(broker=broker, queue_name="poll")
async def poll(lane: str, beat: int) -> None:
    """One beat of a lane: plan the next, then poll the jobs that are due."""
    due = await calls().due(lane, beat)
    if due is None:
        return

    await send_beats([due.next_beat])
    calls().make(due.leases, due.redis_now_ms)


@dramatiq.actor(broker=broker, queue_name="control", priority=1)
async def start(job_id: str) -> None:
    """Start a new job on its backend."""
    await _take(job_id, "start")


@dramatiq.actor(broker=broker, queue_name="control", priority=1)
async def request(job_id: str) -> None:
    """Pass a request on to the job's backend."""
    await _take(job_id, "request")


async def send_beats(beats: Iterable[Beat]) -> None:
    """Enqueue polls.

    If a beat cannot be sent, the watchdog notices the missing beat and sends it.
    """
    await asyncio.gather(
        *(_send(poll, beat.lane, beat.number, delay_ms=beat.delay_ms) for beat in beats)
    )


async def send_start(job_id: str) -> None:
    """Enqueue a start; if it is lost, the chain starts the job when its lease ends."""
    await _send(start, job_id)


async def send_request(job_id: str) -> None:
    """Enqueue a request; if it is lost, the next poll passes the request on."""
    await _send(request, job_id)


async def _take(job_id: str, purpose: Literal["start", "request"]) -> None:
    lease = await calls().store.lease(job_id, purpose)
    if lease:
        calls().make([lease], lease.at_ms)


async def _send(
    actor: dramatiq.Actor[..., None], *args: Any, delay_ms: int = 0
) -> None:
    send = partial(actor.send_with_options, args=args, delay=delay_ms or None)
    try:
        async with asyncio.timeout(CALL_S):
            await asyncio.get_running_loop().run_in_executor(_senders, send)
    except (BrokerConnectionError, TimeoutError) as error:
        logger.warning("%s%s was not enqueued: %r.", actor.actor_name, args, error)
