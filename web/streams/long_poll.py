"""The feed by long poll: one answer, as soon as there is a newer snapshot."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from actors import Snapshot
from web.http.problems import Problem, no_such_job
from web.server.limits import MAX_WAIT_S

from .counts import SENT, closed, opened
from .hub import Hub
from .subscriber import Subscriber


@dataclass(frozen=True, slots=True)
class Wait:
    """The revision that a client has, and for how long it will wait for a newer one."""

    after: int
    seconds: float

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Wait | None:
        """Read `after` and `wait`; None without a wait. Raises a 400 Problem."""
        after, seconds = query.get("after"), query.get("wait")
        wait = cls(_revision(after or "0"), _seconds(seconds or "0"))
        return wait if wait.seconds else None


class LongPoll:
    """A stream of one answer."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def write_now(self, news: Sequence[Snapshot]) -> bool:
        return False

    def wake(self) -> None:
        self._woken.set()

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        """Count it as an open stream, until the block is left."""
        reason = "error"
        opened("long_poll")
        try:
            yield
            reason = "answered"
        except asyncio.CancelledError:
            reason = "client"
            raise
        finally:
            closed("long_poll", reason)

    async def wait(self, subscriber: Subscriber) -> None:
        """Return when the subscriber has been rung."""
        while not subscriber.take_ring():
            self._woken.clear()
            await self._woken.wait()


async def newer(hub: Hub, job_id: str, owner: str, wait: Wait) -> Snapshot:
    """Wait for a newer snapshot; the present one if none comes, or none can.

    Raises a 404 Problem.
    """
    poll = LongPoll()
    async with poll.counted(), hub.subscribe(poll) as subscriber:
        present = await hub.join(subscriber, {job_id: wait.after}, owner)
        if job_id not in present:
            raise no_such_job()
        newest = present[job_id]
        with suppress(TimeoutError):
            async with asyncio.timeout(wait.seconds):
                while subscriber.follows and not hub.ending:
                    await poll.wait(subscriber)
                    news = subscriber.take()
                    if news.gone:
                        raise no_such_job()
                    newest = news.snapshots[0] if news.snapshots else newest
                    if newest.revision > wait.after:
                        break
    SENT["long_poll"] += 1
    return newest


def _revision(text: str) -> int:
    # Python would also take other alphabets' digits, and "+1", and "1_000".
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Problem(400, "bad_after", "`after` must be a revision: a whole number.")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MAX_WAIT_S:
        raise Problem(
            400, "bad_wait", f"`wait` must be from 0 to {MAX_WAIT_S} seconds."
        )
    return seconds
