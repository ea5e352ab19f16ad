"""Which partition something belongs to, and all the partitions that there are."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from redis.crc import key_slot

from .keys import numbers_key
from .partition import Partition
from .redis import AnyRedis
from .scripts import Scripts
from .tags import UNTAGGED, own_tags, tag_of, tagged, tags

T = TypeVar("T")


class Partitions:
    """A number of partitions on one Redis, or on one Redis Cluster.

    A job is in its owner's. The jobs of a backend that takes only so many are in the
    backend's own, and those of a wide owner are spread over all. Those that an earlier,
    larger number has left behind are served as long as that is known in Redis.
    """

    def __init__(
        self,
        redis: AnyRedis,
        scripts: Scripts,
        prefix: str,
        number: int,
        wide_owners: frozenset[str],
        *,
        is_cluster: bool,
        job_ttl_s: int,
        poll_interval_ms: int,
    ) -> None:
        self._redis = redis
        self._make = partial(
            Partition,
            *(scripts, prefix),
            job_ttl_s=job_ttl_s,
            poll_interval_ms=poll_interval_ms,
        )
        self._made: dict[str, Partition] = {}
        self._first = () if is_cluster else (UNTAGGED,)
        self._own = own_tags(number, is_cluster=is_cluster)
        self._wide_owners = wide_owners
        self._numbers_key = numbers_key(prefix)
        self._known = number
        self._is_settled = False

    def at(self, tag: str) -> Partition:
        """The partition of a tag."""
        if tag not in self._made:
            self._made[tag] = self._make(tag)
        return self._made[tag]

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of all partitions in which there may be a job."""
        is_one = self._known == 1 and self._first
        return self._first if is_one else self._first + tags(self._known)

    @property
    def all(self) -> list[Partition]:
        """All partitions in which there may be a job."""
        return [self.at(tag) for tag in self.tags]

    @property
    def own(self) -> list[Partition]:
        """The partitions in which new jobs are put."""
        return [self.at(tag) for tag in self._own]

    def of(self, name: str) -> Partition:
        """The partition of a job, by its id, or of a lane."""
        tag = tag_of(name)
        return self.at(tag if tag or self._first else self._own[0])

    def home(self, name: str) -> Partition:
        """The partition of an owner, or of a backend."""
        return self.at(self._own[key_slot(name.encode()) % len(self._own)])

    def new_id(self, owner: str, backend: str, key: str, *, is_limited: bool) -> str:
        """Make up the id of a job, with 128 random bits; it says where the job is.

        With the same `key` a job of the same owner and backend is in the same place.
        """
        if is_limited:
            home = self.home(backend)
        elif owner in self._wide_owners:
            home = self.home(key or secrets.token_hex(8))
        else:
            home = self.home(owner)
        return tagged(home.tag, secrets.token_urlsafe(16))

    def grouped(
        self, things: Iterable[T], job_of: Callable[[T], str]
    ) -> dict[Partition, list[T]]:
        """Group things by the partitions of their jobs."""
        found: dict[Partition, list[T]] = {}
        for each in things:
            found.setdefault(self.of(job_of(each)), []).append(each)
        return found

    async def settle_number(self) -> None:
        """Learn once how many there are, and let the others know if ours are more.

        Before a job is added, so that the workers serve its partition.
        """
        if self._is_settled:
            return
        ours = len(self._own)
        if await self.learn_number() < ours:
            await self._redis.sadd(self._numbers_key, ours)
        self._is_settled = True

    async def learn_number(self) -> int:
        """Serve as many as any process has noted; returns that number."""
        numbers: Any = await self._redis.smembers(self._numbers_key)
        noted = max(map(int, numbers), default=1)
        self._known = max(self._known, noted)
        return noted
