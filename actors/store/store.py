"""Where jobs live in Redis; every change and its announcement are one script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from actors.clock import now_ms
from actors.job import Job
from actors.settings import DEFAULT_PREFIX, Settings
from actors.status import Status

from .keys import Keys
from .limits import Limits
from .redis import connect, executed, limited
from .scripts import registered
from .values import (
    Attended,
    BackendState,
    Beat,
    Change,
    Due,
    KeyReusedError,
    Lease,
    Page,
    Snapshot,
    StartKey,
    TooManyJobsError,
    decode_backend_state,
    decode_beats,
    decode_job,
    decode_leases,
    decode_status,
)

LEASE_MS = 1000
ATTENTION_MS = 6000
WORKER_MS = 5000
LOOK_AHEAD = 100  # jobs are read at once if few of them may be wanted

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


class Store:
    """Jobs, work lists, beats and the feed, over one Redis client."""

    def __init__(
        self,
        redis: Redis,
        *,
        job_ttl_s: int,
        poll_interval_ms: int,
        key_prefix: str = DEFAULT_PREFIX,
    ) -> None:
        self._redis = redis
        self._keys = Keys.below(key_prefix)
        self._names = self._keys.all()
        self._job_ttl_s = job_ttl_s
        self._poll_interval_ms = poll_interval_ms
        self._scripts = registered(redis)
        self.limits = Limits(self._run)

    @classmethod
    def open(cls, settings: Settings) -> Store:
        """Make the store of these settings; nothing is sent to Redis yet."""
        return cls(
            connect(settings.redis_url),
            job_ttl_s=settings.job_ttl_s,
            poll_interval_ms=settings.poll_interval_ms,
            key_prefix=settings.key_prefix,
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
        outcome, *ids = await self._run(
            "create",
            *(job.job, owner, job.backend),
            *(_encode(job), _encode(BackendState(ref=ref, heard_ms=now_ms()))),
            *(lane_size, LEASE_MS, max_active),
            *(start_key or ("", "")),
        )
        if outcome == b"full":
            raise TooManyJobsError
        if outcome == b"reused":
            raise KeyReusedError
        id_: bytes = ids[0]
        return id_.decode()

    async def beat(
        self, lane: str, number: int, *, interval_ms: int, idle_interval_ms: int
    ) -> Due | None:
        """Take all that is due on this beat; None if it is stale or all is done."""
        answer = await self._run(
            "beat", lane, number, interval_ms, idle_interval_ms, LEASE_MS
        )
        if answer[0] != b"next":
            return None
        _, next_number, delay_ms, redis_now_ms, jobs, circuit = answer
        next_beat = Beat(lane, next_number, delay_ms)
        return Due(next_beat, decode_leases(lane, jobs, circuit), redis_now_ms)

    async def lease(
        self, job_id: str, purpose: Literal["start", "request"]
    ) -> Lease | None:
        """Take one job out of turn; None if it is over, or must stay where it is."""
        answer = await self._run("lease", job_id, purpose, LEASE_MS)
        if not answer:
            return None
        number, snapshot, state, lane, now, circuit = answer
        id_ = job_id.encode()
        return Lease.decoded(lane.decode(), circuit, id_, number, snapshot, state, now)

    async def note_sent(self, lease: Lease) -> bool:
        """Note that a start is about to be sent; False if the lease is lost."""
        state = replace(lease.backend_state, sent_ms=now_ms())
        noted = await self._run("note", lease.job_id, lease.number, _encode(state))
        if noted:
            lease.backend_state = state
        return bool(noted)

    async def renew(self, leases: Iterable[Lease]) -> None:
        """Lengthen the leases of jobs that are still in hand."""
        pairs = [part for lease in leases for part in (lease.job_id, lease.number)]
        if pairs:
            await self._run("renew", LEASE_MS, *pairs)

    async def advance(self, changes: Sequence[Change]) -> tuple[list[int], list[Beat]]:
        """Write jobs back and announce the news.

        Returns for each change 1 if it was written, 0 if the job had moved on, -1 if
        the job has ended, is gone, or has another lease; and the beats to send.
        """
        outcomes, beats = await self._run(
            "advance",
            self._poll_interval_ms,
            self._job_ttl_s,
            _pack([change.packed for change in changes]),
        )
        return outcomes, decode_beats(beats)

    async def attend(self, jobs: Iterable[str], owner: str | None = None) -> Attended:
        """Note that these jobs are watched for a while; only such jobs are told of."""
        hold = (self._poll_interval_ms, ATTENTION_MS)
        beats, gone = await self._run("attend", *hold, owner or "", *jobs)
        return Attended(decode_beats(beats), [id_.decode() for id_ in gone])

    async def ensure(self) -> list[Beat]:
        """Restart every chain that was lost; beats to send. Only workers do that."""
        return decode_beats(await self._run("ensure", WORKER_MS))

    async def has_worker(self) -> bool:
        """True if a worker was here in the last seconds."""
        return bool(await self._redis.exists(self._keys.worker))

    async def load(self, job_id: str, owner: str | None = None) -> Job | None:
        """Read a job; None if it is gone, or not `owner`'s, if an owner is named."""
        [snapshot] = await self.snapshots([job_id], owner)
        return decode_job(snapshot.data) if snapshot else None

    async def backend_state(self, job_id: str) -> BackendState:
        """Read the backend's side of a job, as far as we know it."""
        state = await self._redis.hget(self._keys.job + job_id, "backend_state")
        return decode_backend_state(state) if state else BackendState()

    async def snapshots(
        self, ids: Sequence[str], owner: str | None = None
    ) -> list[Snapshot | None]:
        """Read jobs as they are now, in the order asked.

        None for a job that is gone, or that is not `owner`'s, if an owner is named.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                fields = ("revision", "finished", "snapshot", "owner")
                pipe.hmget(self._keys.job + job_id, *fields)
            answers = await executed(pipe)
        return [
            Snapshot(job_id, int(revision), finished == b"1", snapshot)
            if revision and owner in (None, theirs.decode())
            else None
            for job_id, (revision, finished, snapshot, theirs) in zip(
                ids, answers, strict=True
            )
        ]

    async def page(
        self, owner: str, *, status: Status | None, limit: int, cursor: str | None
    ) -> Page:
        """Read an owner's jobs, newest first, after the job that `cursor` names.

        Raises KeyError for a cursor that names none.
        """
        owned = self._keys.owned + owner
        ahead = max(limit, LOOK_AHEAD) if status else limit
        start = await self._place_after(owned, cursor) if cursor else 0
        found: list[Snapshot] = []
        while True:
            ids: Any = await self._redis.zrange(owned, start, start + ahead, desc=True)
            for snapshot in await self.snapshots([id.decode() for id in ids]):
                if snapshot and _has(snapshot, status):
                    found.append(snapshot)
                if len(found) > limit:
                    return Page(found[:limit], found[limit - 1].job)
            if len(ids) <= ahead:
                return Page(found, None)
            start += len(ids)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[PubSub]:
        """Subscribe to the feed; Redis's confirmation is the first message."""
        async with self._redis.pubsub() as pubsub:
            async with limited():
                await pubsub.subscribe(self._keys.feed)
            yield pubsub

    async def close(self) -> None:
        await self._redis.aclose()

    async def _place_after(self, owned: str, cursor: str) -> int:
        rank: Any = await self._redis.zrevrank(owned, cursor)
        if rank is None:
            raise KeyError(cursor)
        return int(rank) + 1

    async def _run(self, name: str, *arguments: Any) -> Any:
        return await self._scripts[name](keys=self._names, args=arguments)


def _has(snapshot: Snapshot, status: Status | None) -> bool:
    return status is None or decode_status(snapshot.data) == status
