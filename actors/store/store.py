"""Where jobs live in Redis; every change and its announcement are one script."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline, PubSub

from actors.job import Job, Status

from .redis import limited
from .values import Beat, Change, Contact, Page, Snapshot, Taken, Tick

PREFIX = "progrock:"
FEED = f"{PREFIX}feed"
LEASE_MS = 1000
ATTENTION_MS = 6000
LOOK_AHEAD = 100  # jobs are read at once where few of them may be wanted

_LUA = Path(__file__).parent / "scripts"
_PRELUDE = (_LUA / "prelude.lua").read_text()
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_decode_job = msgspec.json.Decoder(Job).decode
_decode_contact = msgspec.json.Decoder(Contact).decode


class TooManyJobsError(Exception):
    """The owner has as many active jobs as may be."""


class Store:
    """Jobs, work lists, beats and the feed, over one Redis client."""

    def __init__(self, redis: Redis, *, job_ttl_s: int, poll_interval_ms: int) -> None:
        self._redis = redis
        self._job_ttl_s = job_ttl_s
        self._poll_interval_ms = poll_interval_ms
        self._scripts = {
            path.stem: redis.register_script(f"{_PRELUDE}\n{path.read_text()}")
            for path in _LUA.glob("*.lua")
            if path.stem != "prelude"
        }

    async def create(
        self, job: Job, *, owner: str, most_active: int, lane_size: int
    ) -> None:
        """Add a queued job; `most_active` 0 is no limit. Raises TooManyJobsError."""
        created = await self._run(
            "create",
            *(
                job.job,
                owner,
                job.backend,
                _encode(job),
                _encode(Contact(heard_ms=now_ms())),
            ),
            *(lane_size, LEASE_MS, most_active),
        )
        if not created:
            raise TooManyJobsError

    async def tick(
        self, lane: str, beat: int, *, interval_ms: int, idle_interval_ms: int
    ) -> Tick | None:
        """Take what is due on this beat; None where it is stale or all is done."""
        answer = await self._run(
            "tick", lane, beat, interval_ms, idle_interval_ms, LEASE_MS
        )
        if answer[0] != b"next":
            return None
        _, next_beat, delay_ms, now_ms, jobs = answer
        return Tick(
            Beat(lane, next_beat, delay_ms),
            [
                Taken(
                    id.decode(),
                    take,
                    _decode_job(snapshot),
                    _decode_contact(contact),
                    lane,
                    at_ms,
                    told_ms,
                    bool(watched),
                )
                for id, take, snapshot, contact, watched, told_ms, at_ms in jobs
            ],
            now_ms,
        )

    async def claim(
        self, job: str, purpose: Literal["start", "cancel"]
    ) -> Taken | None:
        """Take one job out of turn; None where it is not to be had."""
        answer = await self._run("claim", job, purpose, LEASE_MS)
        if not answer:
            return None
        take, snapshot, contact, lane, now_ms = answer
        return Taken(
            job,
            take,
            _decode_job(snapshot),
            _decode_contact(contact),
            lane.decode(),
            now_ms,
        )

    async def renew(self, jobs: Iterable[Taken]) -> None:
        """Keep jobs that are still in hand."""
        pairs = [part for taken in jobs for part in (taken.id, taken.take)]
        if pairs:
            await self._run("renew", LEASE_MS, *pairs)

    async def advance(self, changes: Sequence[Change]) -> tuple[list[int], list[Beat]]:
        """Write jobs back and announce what is new.

        Returns for each change 1 where it was written, 0 where the job had moved on,
        -1 where it was lost, ended or taken by somebody else; and the beats to send.
        """
        outcomes, beats = await self._run(
            "advance",
            self._poll_interval_ms,
            self._job_ttl_s,
            _pack([change.packed() for change in changes]),
        )
        return outcomes, _beats(beats)

    async def attend(self, jobs: Iterable[str]) -> list[Beat]:
        """Tell that these jobs are watched, for a few seconds; beats to send."""
        return _beats(
            await self._run("attend", self._poll_interval_ms, ATTENTION_MS, *jobs)
        )

    async def ensure(self) -> list[Beat]:
        """Restart every chain that was lost; beats to send."""
        return _beats(await self._run("ensure"))

    async def load(self, job: str) -> tuple[Job, str] | None:
        """Read a job and its owner."""
        snapshot: Any
        owner: Any
        snapshot, owner = await self._redis.hmget(_key(job), "snapshot", "owner")
        return (_decode_job(snapshot), owner.decode()) if snapshot and owner else None

    async def contact(self, job: str) -> Contact:
        """Read how we stand with the backend over a job."""
        contact = await self._redis.hget(_key(job), "contact")
        return _decode_contact(contact) if contact else Contact()

    async def owners(self, jobs: Sequence[str]) -> list[str | None]:
        """Read whose jobs these are; None for one that is gone."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hget(_key(job), "owner")
            return [owner and owner.decode() for owner in await _executed(pipe)]

    async def snapshots(self, jobs: Sequence[str]) -> list[Snapshot | None]:
        """Read jobs as they are now, in the order asked; None for one that is gone."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hmget(_key(job), "revision", "finished", "snapshot")
            answers = await _executed(pipe)
        return [
            Snapshot(job, int(answer[0]), answer[1] == b"1", answer[2])
            if answer[0]
            else None
            for job, answer in zip(jobs, answers, strict=True)
        ]

    async def page(
        self, owner: str, *, status: Status | None, limit: int, cursor: str | None
    ) -> Page:
        """Read an owner's jobs, newest first, after the job that `cursor` names.

        Raises KeyError for a cursor that names none.
        """
        owned = f"{PREFIX}owner:{owner}"
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

    async def _place_after(self, owned: str, cursor: str) -> int:
        rank: Any = await self._redis.zrevrank(owned, cursor)
        if rank is None:
            raise KeyError(cursor)
        return int(rank) + 1

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[PubSub]:
        """Subscribe to the feed; Redis's confirmation is the first message."""
        async with self._redis.pubsub() as pubsub:
            async with limited():
                await pubsub.subscribe(FEED)
            yield pubsub

    async def ping(self) -> None:
        """Raises a RedisError where Redis does not answer."""
        await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()

    async def _run(self, name: str, *arguments: Any) -> Any:
        return await self._scripts[name](keys=[PREFIX], args=arguments)


async def _executed(pipe: Pipeline) -> list[Any]:
    async with limited():
        return await pipe.execute()


def now_ms() -> int:
    """This machine's clock, for the times that people read."""
    return time.time_ns() // 1_000_000


def _beats(answer: list[list[Any]]) -> list[Beat]:
    return [Beat(lane.decode(), beat, delay_ms) for lane, beat, delay_ms in answer]


def _key(job: str) -> str:
    return f"{PREFIX}job:{job}"


def _has(snapshot: Snapshot, status: Status | None) -> bool:
    return status is None or _decode_job(snapshot.data).status is status
