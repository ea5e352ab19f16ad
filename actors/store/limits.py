"""What a backend may be asked for, counted over all workers: places, calls, probes."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from .partitions import Partitions

FIRST_PAUSE_MS = 200
LONGEST_PAUSE_MS = 1000
PROBE_MS = 6000  # a worker that dies while it probes gives the next a turn


class Grant(NamedTuple):
    """How many calls may be made, and for how long the others have to wait."""

    calls: int
    wait_ms: int


class Limits:
    """The part of the store that keeps a backend from being asked too much."""

    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def admit(
        self, job: str, backend: str, *, created_ms: int, most_active: int
    ) -> int:
        """Give a job one of the places, or its number among those that wait.

        0 if it has a place, 1 if it is the next, -1 if it is over.
        """
        partition = self._partitions.of(job)
        place: int = await partition.run("admit", job, backend, created_ms, most_active)
        return place

    async def take(
        self,
        backend: str,
        calls_per_minute: int,
        *,
        wanted: int,
        owed: int,
        is_urgent: bool,
    ) -> Grant:
        """Take up to `wanted` calls; `owed` were made beyond what was taken before.

        It is less than 0 if some that were taken have not been made.
        """
        answer = await self._partitions.home(backend).run(
            "take", backend, calls_per_minute, wanted, owed, int(is_urgent)
        )
        return Grant(*answer)

    async def trip(self, backend: str, *, factor: float, at_least_ms: int) -> int:
        """Have a backend left alone; returns for how long, in milliseconds."""
        pauses = (FIRST_PAUSE_MS, LONGEST_PAUSE_MS, factor, at_least_ms)
        pauses_ms = await self._everywhere("trip", backend, *pauses)
        return max(pauses_ms)

    async def probe(self, backend: str) -> bool:
        """True if it is this caller who may try a backend that is left alone."""
        home = self._partitions.home(backend)
        return bool(await home.run("probe", backend, PROBE_MS))

    async def mend(self, backend: str) -> None:
        """It answers: everybody may call it again."""
        await self._everywhere("mend", backend)

    async def _everywhere(self, script: str, *arguments: object) -> list[int]:
        """Each partition knows by itself which backends are left alone."""
        answers: list[int] = await asyncio.gather(
            *(each.run(script, *arguments) for each in self._partitions.all)
        )
        return answers
