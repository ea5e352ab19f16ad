"""Leaves a backend alone that fails: a circuit breaker that all workers share.

After some failures in a row nobody calls it for a short while, each time a longer one;
then one worker tries it with one call. The first answer lets everybody call again.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Sequence

from redis.exceptions import RedisError

from actors.backends import Backend, BackendError
from actors.limits import MAX_RETRY_AFTER_MS
from actors.store.limits import Limits
from actors.store.values import Circuit
from actors.telemetry.work import BACKEND_UP

TRIP_AFTER = 3  # failures in a row
_AWAY = ("unreachable", "timeout", "http_429", "http_502", "http_503", "http_504")

logger = logging.getLogger(__name__)


def is_away(outcome: object) -> bool:
    """True for an error that is not about one job, but about its whole backend."""
    return isinstance(outcome, BackendError) and outcome.code in _AWAY


class Circuits:
    """What this worker knows of each backend, and tells the others."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._states: dict[str, Circuit] = {}
        self._failures: Counter[str] = Counter()
        self._errors: dict[str, BackendError] = {}
        self._probed: set[str] = set()

    def learn(self, backend: str, circuit: Circuit) -> None:
        """Note what Redis says of a backend."""
        self._set(backend, circuit)

    async def may_call(self, backend: Backend) -> bool:
        """False if the backend is left alone; the caller who may probe it is one."""
        state = self._states.get(backend.name, Circuit.CLOSED)
        if state is not Circuit.PROBE:
            return state is Circuit.CLOSED
        self._set(backend.name, Circuit.OPEN)
        try:
            is_ours = await self._limits.probe(backend.name)
        except RedisError as error:
            logger.warning("%s cannot be probed: %s.", backend.name, error)
            return False
        if is_ours:
            self._probed.add(backend.name)
        return is_ours

    def error(self, backend: Backend) -> BackendError:
        """Why the backend is left alone, as the error of a call that was not made."""
        said = f"{backend.title} cannot be reached. Try again later."
        known = self._errors.get(backend.name)
        return (
            BackendError(known.code, known.message)
            if known
            else BackendError("unreachable", said)
        )

    async def saw(self, backend: Backend, outcomes: Sequence[object]) -> None:
        """Count the outcomes of one call: reports or errors."""
        name = backend.name
        is_closed = self._states.get(name, Circuit.CLOSED) is Circuit.CLOSED
        error = outcomes[0] if outcomes and all(map(is_away, outcomes)) else None
        try:
            if isinstance(error, BackendError):
                self._errors[name] = error
                self._failures[name] += 1
                if name in self._probed or (
                    is_closed and self._failures[name] >= TRIP_AFTER
                ):
                    await self._trip(name, error)
            elif self._failures[name] or not is_closed:
                await self._mend(name, is_closed)
        except RedisError as cause:
            logger.warning("The others do not know how %s is: %s.", name, cause)

    async def _trip(self, name: str, error: BackendError) -> None:
        if name not in self._probed:
            logger.warning("The backend %s is left alone for now: %s", name, error)
        self._probed.discard(name)
        self._set(name, Circuit.OPEN)
        asked_ms = min((error.retry_after_s or 0) * 1000, MAX_RETRY_AFTER_MS)
        await self._limits.trip(
            name, factor=random.uniform(0.75, 1), at_least_ms=int(asked_ms)
        )

    async def _mend(self, name: str, is_closed: bool) -> None:
        self._failures[name] = 0
        self._probed.discard(name)
        if is_closed:
            return
        self._set(name, Circuit.CLOSED)
        await self._limits.mend(name)
        logger.info("The backend %s answers again.", name)

    def _set(self, backend: str, circuit: Circuit) -> None:
        self._states[backend] = circuit
        BACKEND_UP[backend] = int(circuit is Circuit.CLOSED)
