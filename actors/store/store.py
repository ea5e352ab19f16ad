"""Where jobs live in Redis; every change and its announcement are one script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from redis.asyncio import RedisCluster

from actors.backends import Backend
from actors.job import Job
from actors.report import NOTHING
from actors.settings import DEFAULT_PREFIX, Settings

from .census import Census
from .ears import ears
from .feed import Feed, Take
from .limits import Limits
from .owned import Owned
from .partitions import Partitions
from .redis import AnyRedis, Pipe, connect, executed, node_options
from .scripts import registered
from .start_key import StartKey
from .values import (
    Attended,
    BackendState,
    Beat,
    Change,
    Due,
    Lease,
    Snapshot,
    decode_backend_state,
    decode_job,
)

_FIELDS = ("revision", "finished", "snapshot", "owner")

T = TypeVar("T")


class Store:
    """Jobs, work lists, beats and the feed, in one or more partitions.

    Several jobs at once must be of one partition: see `grouped`.
    """

    def __init__(
        self,
        redis: AnyRedis,
        *,
        job_ttl_s: int,
        poll_interval_ms: int,
        key_prefix: str = DEFAULT_PREFIX,
        partitions: int = 1,
        wide_owners: frozenset[str] = frozenset(),
        node_options: Mapping[str, Any] = NOTHING,
    ) -> None:
        is_cluster = isinstance(redis, RedisCluster)
        scripts = registered(redis, is_cluster=is_cluster)
        self._redis = redis
        self._node_options = dict(node_options)
        self._partitions = Partitions(
            *(redis, scripts, key_prefix, partitions, wide_owners),
            is_cluster=is_cluster,
            job_ttl_s=job_ttl_s,
            poll_interval_ms=poll_interval_ms,
        )
        self.owned = Owned(redis, self._partitions, key_prefix, self.snapshots)
        self.limits = Limits(self._partitions)
        self.census = Census(redis, key_prefix, self._partitions)

    @classmethod
    def open(cls, settings: Settings) -> Store:
        """Make the store of these settings; nothing is sent to Redis yet."""
        return cls(
            connect(settings.redis_url),
            job_ttl_s=settings.job_ttl_s,
            poll_interval_ms=settings.poll_interval_ms,
            key_prefix=settings.key_prefix,
            partitions=settings.partitions,
            wide_owners=settings.wide_owners,
            node_options=node_options(settings.redis_url),
        )

    def new_id(self, owner: str, backend: Backend, key: str | None = None) -> str:
        """Make up the id of a job; with the same `key` it has the same partition."""
        is_limited = backend.most_active is not None
        return self._partitions.new_id(
            owner, backend.name, key or "", is_limited=is_limited
        )

    async def create(
        self,
        job: Job,
        *,
        owner: str,
        max_active: int,
        lane_size: int,
        start_key: StartKey | None = None,
        ref: str | None = None,
    ) -> str:
        """Add a job; `max_active` 0 is no limit. Returns the job's id.

        It is an earlier job's id if the owner used `start_key` before. Raises
        TooManyJobsError and KeyReusedError.
        """
        place = self._partitions.of(job.job)
        await self.owned.note(owner, place)
        elsewhere = await self.owned.active_elsewhere(owner, place) if max_active else 0
        return await place.create(
            job,
            owner=owner,
            max_active=max_active,
            elsewhere=elsewhere,
            lane_size=lane_size,
            start_key=start_key,
            ref=ref,
        )

    async def beat(
        self, lane: str, number: int, *, interval_ms: int, idle_interval_ms: int
    ) -> Due | None:
        """Take all that is due on this beat; None if it is stale or all is done."""
        return await self._partitions.of(lane).beat(
            lane, number, interval_ms=interval_ms, idle_interval_ms=idle_interval_ms
        )

    async def lease(
        self, job_id: str, purpose: Literal["start", "request"]
    ) -> Lease | None:
        """Take one job out of turn; None if it is over, or must stay where it is."""
        return await self._partitions.of(job_id).lease(job_id, purpose)

    async def note_sent(self, lease: Lease) -> bool:
        """Note that a start is about to be sent; False if the lease is lost."""
        return await self._partitions.of(lease.job_id).note_sent(lease)

    def grouped(self, things: Iterable[T], job_of: Callable[[T], str]) -> list[list[T]]:
        """Group things of jobs: those of one partition together."""
        return list(self._partitions.grouped(things, job_of).values())

    async def renew(self, leases: Iterable[Lease]) -> None:
        """Lengthen the leases of jobs that are still in hand."""
        groups = self._partitions.grouped(leases, lambda lease: lease.job_id)
        await asyncio.gather(*(place.renew(some) for place, some in groups.items()))

    async def advance(self, changes: Sequence[Change]) -> tuple[list[int], list[Beat]]:
        """Write jobs of one partition back and announce the news.

        Returns for each change 1 if it was written, 0 if the job had moved on, -1 if
        the job has ended, is gone, or has another lease; and the beats to send.
        """
        if not changes:
            return [], []
        return await self._partitions.of(changes[0].job.job).advance(changes)

    async def attend(self, jobs: Sequence[str], owner: str | None = None) -> Attended:
        """Note that jobs of one partition are watched for a while.

        Only such jobs are announced.
        """
        return await self._partitions.of(jobs[0]).attend(jobs, owner)

    async def ensure(self) -> list[Beat]:
        """Restart every chain that was lost; beats to send. Only workers do that."""
        found = await asyncio.gather(*(each.ensure() for each in self._partitions.all))
        return [beat for beats in found for beat in beats]

    async def learn_partitions(self) -> None:
        """Learn of partitions that other processes have begun to use."""
        await self._partitions.learn_number()

    async def has_worker(self) -> bool:
        """True if a worker was here in the last seconds."""
        return bool(await self._redis.exists(self._partitions.all[0].keys.worker))

    async def load(self, job_id: str, owner: str | None = None) -> Job | None:
        """Read a job; None if it is gone, or not `owner`'s, if an owner is named."""
        [snapshot] = await self.snapshots([job_id], owner)
        return decode_job(snapshot.data) if snapshot else None

    async def backend_state(self, job_id: str) -> BackendState:
        """Read the backend's side of a job, as far as we know it."""
        state = await self._redis.hget(self._key(job_id), "backend_state")
        return decode_backend_state(state) if state else BackendState()

    async def snapshots(
        self, ids: Sequence[str], owner: str | None = None
    ) -> list[Snapshot | None]:
        """Read jobs as they are now, in the order asked.

        None for a job that is gone, or that is not `owner`'s, if an owner is named.
        """

        def fill(pipe: Pipe) -> None:
            for job_id in ids:
                pipe.hmget(self._key(job_id), *_FIELDS)

        answers = await executed(self._redis, fill)
        return [
            Snapshot(job_id, int(revision), finished == b"1", snapshot)
            if revision and owner in (None, theirs.decode())
            else None
            for job_id, (revision, finished, snapshot, theirs) in zip(
                ids, answers, strict=True
            )
        ]

    @property
    def first_channel(self) -> str:
        """A channel of the feed that there always is."""
        return self._partitions.own[0].keys.feed

    @property
    def channels(self) -> list[str]:
        """All channels of the feed on which there may be news."""
        return [each.keys.feed for each in self._partitions.all]

    def channel_of(self, job_id: str) -> str:
        """The channel of the feed that announces a job."""
        return self._partitions.of(job_id).keys.feed

    def feed(self, take: Take) -> Feed:
        """A feed that hears nothing yet; `take` will be called with its messages."""
        return Feed(ears(self._redis, self._node_options), take)

    async def close(self) -> None:
        await self._redis.aclose()

    def _key(self, job_id: str) -> str:
        return self._partitions.of(job_id).keys.job + job_id
