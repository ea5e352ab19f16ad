"""The feed by long poll: one answer, as soon as there is something newer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from actors.store.values import Snapshot
from web.http.problems import Problem
from web.streams.hub import Feed

MOST_WAIT_S = 25


@dataclass(frozen=True, slots=True)
class Wait:
    """What a client has, and for how long it will wait for more."""

    after: int
    seconds: float

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Wait | None:
        """Read `after` and `wait`; None without a wait. Raises a 400 Problem."""
        after, seconds = query.get("after"), query.get("wait")
        wait = cls(_revision(after or "0"), _seconds(seconds or "0"))
        return wait if wait.seconds else None


async def newer(feed: Feed, job: str, wait: Wait) -> Snapshot | None:
    """Wait for a newer snapshot; None where none came, or where none can come."""
    async with feed.subscribe() as subscriber:
        await feed.join(subscriber, {job: wait.after})
        with suppress(TimeoutError):
            async with asyncio.timeout(wait.seconds):
                while subscriber.follows and not feed.ending:
                    await subscriber.wait()
                    for snapshot in feed.take(subscriber)[0]:
                        if snapshot.revision > wait.after:
                            return snapshot
    return None


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
    if not 0 <= seconds <= MOST_WAIT_S:
        raise Problem(
            400, "bad_wait", f"`wait` must be from 0 to {MOST_WAIT_S} seconds."
        )
    return seconds
