"""An owner's jobs over all partitions: where they are, how many, and a page of them."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from actors.status import Status

from .keys import places_key
from .partition import Partition
from .partitions import Partitions
from .redis import AnyRedis, Pipe, executed
from .tags import UNTAGGED
from .values import Page, Snapshot, decode_status

PLACES_S = 90 * 86_400  # after the owner's last start
LOOK_AHEAD = 100  # jobs are read at once if few of them may be wanted

Read = Callable[[Sequence[str]], Awaitable[list[Snapshot | None]]]


class _Entry(NamedTuple):
    """A job in an owner's index; the newest is the largest, as Redis orders them."""

    created_ms: float
    job: str


class Owned:
    """The indexes of the owners."""

    def __init__(
        self, redis: AnyRedis, partitions: Partitions, prefix: str, read: Read
    ) -> None:
        self._redis = redis
        self._partitions = partitions
        self._prefix = prefix
        self._read = read

    async def note(self, owner: str, place: Partition) -> None:
        """Note that an owner has jobs in a partition, before the first is added."""
        await self._partitions.settle_number()
        if len(self._partitions.tags) == 1:
            return
        key = places_key(self._prefix, owner)

        def fill(pipe: Pipe) -> None:
            pipe.sadd(key, place.tag)
            pipe.expire(key, PLACES_S)

        await executed(self._redis, fill)

    async def active_elsewhere(self, owner: str, place: Partition) -> int:
        """Count the owner's unfinished jobs in all partitions but one."""
        others = [each for each in await self._places(owner) if each is not place]

        def fill(pipe: Pipe) -> None:
            for each in others:
                pipe.scard(each.keys.active + owner)

        return sum(await executed(self._redis, fill)) if others else 0

    async def page(
        self, owner: str, *, status: Status | None, limit: int, cursor: str | None
    ) -> Page:
        """Read an owner's jobs, newest first, after the job that `cursor` names.

        Raises KeyError for a cursor that names none.
        """
        after = await self._entry(owner, cursor) if cursor else None
        ahead = max(limit, LOOK_AHEAD) if status else limit + 1
        found: list[Snapshot] = []
        async for entries in self._entries(owner, after, ahead):
            for snapshot in await self._read([entry.job for entry in entries]):
                if snapshot and _has(snapshot, status):
                    found.append(snapshot)
                if len(found) > limit:
                    return Page(found[:limit], found[limit - 1].job)
        return Page(found, None)

    async def _entries(
        self, owner: str, after: _Entry | None, at_once: int
    ) -> AsyncIterator[list[_Entry]]:
        """Yield the entries of all partitions in order, some at a time."""
        places = await self._places(owner)
        while True:
            parts = [await self._newest(each, owner, after, at_once) for each in places]
            merged = list(heapq.merge(*parts, reverse=True))[:at_once]
            if not merged:
                return
            yield merged
            after = merged[-1]

    async def _newest(
        self, place: Partition, owner: str, after: _Entry | None, number: int
    ) -> list[_Entry]:
        """Read up to `number` entries that come after another."""
        key, start = place.keys.owned + owner, 0
        latest = after.created_ms if after else "+inf"
        while True:
            raw: Any = await self._redis.zrange(
                *(key, latest, "-inf"),
                desc=True,
                byscore=True,
                withscores=True,
                offset=start,
                num=number,
            )
            read = [_Entry(created_ms, job.decode()) for job, created_ms in raw]
            entries = [entry for entry in read if not after or entry < after]
            if entries or len(raw) < number:
                return entries
            start += number

    async def _entry(self, owner: str, job: str) -> _Entry:
        key = self._partitions.of(job).keys.owned + owner
        created_ms = await self._redis.zscore(key, job)
        if created_ms is None:
            raise KeyError(job)
        return _Entry(created_ms, job)

    async def _places(self, owner: str) -> list[Partition]:
        """The partitions in which an owner may have jobs."""
        await self._partitions.settle_number()
        tags = self._partitions.tags
        if len(tags) > 1:
            raw: Any = await self._redis.smembers(places_key(self._prefix, owner))
            noted = {tag.decode() for tag in raw} | {UNTAGGED}
            tags = tuple(tag for tag in tags if tag in noted)
        return [self._partitions.at(tag) for tag in tags]


def _has(snapshot: Snapshot, status: Status | None) -> bool:
    return status is None or decode_status(snapshot.data) == status
