"""How many jobs there are, by backend and status, for operators."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from .keys import census_key
from .partition import Partition
from .partitions import Partitions
from .redis import AnyRedis
from .tags import backend_of

LASTS_S = 10  # however many processes are asked

Count = tuple[str, str, int]

_decode = msgspec.json.Decoder(list[Count]).decode


class Census:
    """Counts the unfinished jobs, a lane at a time so that nobody waits for long."""

    def __init__(self, redis: AnyRedis, prefix: str, partitions: Partitions) -> None:
        self._redis = redis
        self._key = census_key(prefix)
        self._partitions = partitions

    async def taken(self) -> list[Count]:
        """Return backend, status and number; of the last seconds, or counted anew."""
        known = await self._redis.get(self._key)
        if known:
            return _decode(known)
        counts: Counter[tuple[str, str]] = Counter()
        for partition in self._partitions.all:
            counts += await self._counted(partition)
        found = [(*labels, number) for labels, number in counts.items()]
        await self._redis.set(self._key, msgspec.json.encode(found), ex=LASTS_S)
        return found

    async def _counted(self, partition: Partition) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        lanes: Any = await self._redis.smembers(partition.keys.lanes)
        for lane in lanes:
            answer = await partition.run("census", lane)
            for status, number in zip(answer[::2], answer[1::2], strict=True):
                counts[backend_of(lane.decode()), status.decode()] += number
        return counts
