"""The actors: start a job, poll a lane of jobs on every beat, cancel a job.

Each may run twice, late or never. The beat is a fencing token, a take is another, and
what is lost is found again on the work list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import dramatiq
from dramatiq.errors import BrokerConnectionError

from .backends import Backend
from .broker import broker
from .store import Store
from .store.redis import CALL_S
from .store.values import Beat
from .worker.calls import Rounds

logger = logging.getLogger(__name__)

# Of their own: a broker that hangs must not hold what else is done in threads.
_senders = ThreadPoolExecutor(thread_name_prefix="send")


@dataclass(frozen=True, slots=True)
class Hands:
    """What the actors of one worker process work with."""

    store: Store
    backends: Mapping[str, Backend]
    rounds: Rounds


_hands: Hands | None = None


def install(hands: Hands | None) -> None:
    """Give this process's actors what they work with."""
    global _hands
    _hands = hands


def hands() -> Hands:
    assert _hands is not None, "install() comes before the first message"
    return _hands


@dramatiq.actor(broker=broker, queue_name="poll")
async def poll(lane: str, beat: int) -> None:
    """One beat of a lane: plan the next, then poll what is due."""
    backend = hands().backends[lane.rpartition(":")[0]]
    tick = await hands().store.tick(
        lane,
        beat,
        interval_ms=backend.poll_interval_ms,
        idle_interval_ms=backend.idle_interval_ms,
    )
    if tick is None:
        return

    await send_beats([tick.next])
    hands().rounds.see_to(tick.jobs, tick.now_ms)


@dramatiq.actor(broker=broker, queue_name="control", priority=1)
async def start(job: str) -> None:
    """Start a new job on its backend."""
    taken = await hands().store.claim(job, "start")
    if taken:
        hands().rounds.see_to([taken], taken.at_ms)


@dramatiq.actor(broker=broker, queue_name="control", priority=1)
async def cancel(job: str) -> None:
    """Stop a job on its backend."""
    taken = await hands().store.claim(job, "cancel")
    if taken:
        hands().rounds.see_to([taken], taken.at_ms)


async def send_beats(beats: Iterable[Beat]) -> None:
    """Enqueue polls; one that cannot be sent is missed by the watchdog, which will."""
    await asyncio.gather(
        *(_send(poll, beat.lane, beat.beat, delay_ms=beat.delay_ms) for beat in beats)
    )


async def send_start(job: str) -> None:
    """Enqueue a start; if it is lost the chain starts the job when its lease ends."""
    await _send(start, job)


async def send_cancel(job: str) -> None:
    """Enqueue a cancel; if it is lost the next poll sends it."""
    await _send(cancel, job)


async def _send(
    actor: dramatiq.Actor[..., None], *args: Any, delay_ms: int = 0
) -> None:
    send = partial(actor.send_with_options, args=args, delay=delay_ms or None)
    try:
        async with asyncio.timeout(CALL_S):
            await asyncio.get_running_loop().run_in_executor(_senders, send)
    except (BrokerConnectionError, TimeoutError) as error:
        logger.warning("%s%s was not enqueued: %r.", actor.actor_name, args, error)
