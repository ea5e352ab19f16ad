"""Keeps to the calls that a backend may be sent in a minute, over all workers."""

from __future__ import annotations

import logging
from collections import Counter

from redis.exceptions import RedisError

from actors.backends import Backend
from actors.store.limits import Grant, Limits
from actors.store.values import Lease

WATCHED_WEIGHT = 10  # a watched job is asked for so many times as often
AGAIN_MS = 300  # if Redis is away

logger = logging.getLogger(__name__)


class Pace:
    """Takes calls out of a backend's minute before they are made.

    A poll may need more calls than one, as for a login. Those are paid for later.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._paid: Counter[str] = Counter()
        self._unmade: Counter[str] = Counter()

    async def wait_ms(self, backend: Backend) -> int:
        """Take a call for a start or a request; 0, or how long to wait for it."""
        return (await self._take(backend, 1, is_urgent=True)).wait_ms

    def unmade(self, backend: Backend) -> None:
        """Give a call back that was taken and is not made."""
        if backend.calls_per_minute is not None:
            self._paid[backend.name] -= 1
            self._unmade[backend.name] += 1

    async def share(
        self, backend: Backend, leases: list[Lease], now: int
    ) -> tuple[list[Lease], list[tuple[Lease, int]]]:
        """Return the jobs to ask for now, and the others, with how long they wait."""
        wanted = -(-len(leases) // backend.batch_size)
        grant = await self._take(backend, wanted, is_urgent=False)
        if grant.calls == wanted:
            return leases, []
        longest_first = sorted(
            leases, key=lambda lease: _claim(lease, now), reverse=True
        )
        asked = grant.calls * backend.batch_size
        step_ms = 60_000 / (backend.calls_per_minute or 1) / backend.batch_size
        later = [
            (lease, int(grant.wait_ms + step_ms * place))
            for place, lease in enumerate(longest_first[asked:])
        ]
        return sorted(longest_first[:asked], key=lambda lease: lease.at_ms), later

    async def _take(self, backend: Backend, wanted: int, *, is_urgent: bool) -> Grant:
        if backend.calls_per_minute is None:
            return Grant(wanted, 0)
        name = backend.name
        owed, unmade = max(backend.calls_made - self._paid[name], 0), self._unmade[name]
        self._paid[name] += owed
        self._unmade[name] -= unmade
        try:
            grant = await self._limits.take(
                name,
                backend.calls_per_minute,
                wanted=wanted,
                owed=owed - unmade,
                is_urgent=is_urgent,
            )
        except RedisError as error:
            logger.warning("Calls of %s have to wait: %s.", name, error)
            self._paid[name] -= owed
            self._unmade[name] += unmade
            return Grant(0, AGAIN_MS)
        self._paid[name] += grant.calls
        return grant


def _claim(lease: Lease, now: int) -> int:
    """It grows with the time since the job was asked for: none waits for ever."""
    state = lease.backend_state
    waited_ms = now - max(state.heard_ms, state.missed_ms)
    return waited_ms * (WATCHED_WEIGHT if lease.watched else 1)
