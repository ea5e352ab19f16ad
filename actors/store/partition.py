"""One partition of the store: its jobs, its lanes, and the scripts that change them.

Every change and its announcement are one script.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from actors.clock import now_ms
from actors.job import Job
from actors.telemetry.work import BEATS, SCRIPT_S

from .keys import Keys
from .scripts import Scripts
from .start_key import KeyReusedError, StartKey, TooManyJobsError
from .tags import tagged, untagged
from .values import (
    Attended,
    BackendState,
    Beat,
    Change,
    Due,
    Lease,
    decode_leases,
)

LEASE_MS = 1000
ATTENTION_MS = 6000
WORKER_MS = 5000

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


class Partition:
    """Jobs, work lists and beats under the keys of one tag.

    Outside, its lanes are called by their tag and their name.
    """

    def __init__(
        self,
        scripts: Scripts,
        prefix: str,
        tag: str,
        *,
        job_ttl_s: int,
        poll_interval_ms: int,
    ) -> None:
        self.tag = tag
        self.keys = Keys.of(prefix, tag)
        self._scripts = scripts
        self._names = self.keys.all()
        self._job_ttl_s = job_ttl_s
        self._poll_interval_ms = poll_interval_ms

    async def run(self, script: str, *arguments: Any) -> Any:
        """Run a script on this partition's keys."""
        asked = perf_counter()
        try:
            return await self._scripts[script](keys=self._names, args=arguments)
        finally:
            SCRIPT_S[script].see(perf_counter() - asked)

    async def create(
        self,
        job: Job,
        *,
        owner: str,
        max_active: int,
        elsewhere: int,
        lane_size: int,
        start_key: StartKey | None = None,
        ref: str | None = None,
    ) -> str:
        """See `Store.create`; the owner has `elsewhere` active jobs in others."""
        outcome, *ids = await self.run(
            "create",
            *(job.job, owner, job.backend),
            *(_encode(job), _encode(BackendState(ref=ref, heard_ms=now_ms()))),
            *(lane_size, LEASE_MS, max_active, elsewhere),
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
        answer = await self.run(
            "beat", untagged(lane), number, interval_ms, idle_interval_ms, LEASE_MS
        )
        BEATS["ok" if answer[0] == b"next" else answer[0].decode()] += 1
        if answer[0] != b"next":
            return None
        _, next_number, delay_ms, redis_now_ms, jobs, circuit = answer
        next_beat = Beat(lane, next_number, delay_ms)
        leases = decode_leases(lane, jobs, circuit, redis_now_ms, interval_ms)
        return Due(next_beat, leases, redis_now_ms)

    async def lease(
        self, job_id: str, purpose: Literal["start", "request"]
    ) -> Lease | None:
        """Take one job out of turn; None if it is over, or must stay where it is."""
        answer = await self.run("lease", job_id, purpose, LEASE_MS)
        if not answer:
            return None
        number, snapshot, state, lane, now, circuit = answer
        id_ = job_id.encode()
        lane = self._outside(lane)
        return Lease.decoded(lane, circuit, id_, number, snapshot, state, now)

    async def note_sent(self, lease: Lease) -> bool:
        """Note that a start is about to be sent; False if the lease is lost."""
        state = replace(lease.backend_state, sent_ms=now_ms())
        noted = await self.run("note", lease.job_id, lease.number, _encode(state))
        if noted:
            lease.backend_state = state
        return bool(noted)

    async def renew(self, leases: Iterable[Lease]) -> None:
        """Lengthen the leases of jobs that are still in hand."""
        pairs = [part for lease in leases for part in (lease.job_id, lease.number)]
        if pairs:
            await self.run("renew", LEASE_MS, *pairs)

    async def advance(self, changes: Sequence[Change]) -> tuple[list[int], list[Beat]]:
        """Write jobs back and announce the news.

        Returns for each change 1 if it was written, 0 if the job had moved on, -1 if
        the job has ended, is gone, or has another lease; and the beats to send.
        """
        outcomes, beats = await self.run(
            "advance",
            self._poll_interval_ms,
            self._job_ttl_s,
            _pack([change.packed for change in changes]),
        )
        return outcomes, self._beats(beats)

    async def attend(self, jobs: Iterable[str], owner: str | None = None) -> Attended:
        """Note that these jobs are watched for a while; only such jobs are told of."""
        hold = (self._poll_interval_ms, ATTENTION_MS)
        beats, gone = await self.run("attend", *hold, owner or "", *jobs)
        return Attended(self._beats(beats), [id_.decode() for id_ in gone])

    async def ensure(self) -> list[Beat]:
        """Restart every chain that was lost; beats to send. Only workers do that."""
        return self._beats(await self.run("ensure", WORKER_MS))

    def _beats(self, answer: list[list[Any]]) -> list[Beat]:
        """Read beats as the scripts write them."""
        return [
            Beat(self._outside(lane), number, delay_ms)
            for lane, number, delay_ms in answer
        ]

    def _outside(self, lane: bytes) -> str:
        return tagged(self.tag, lane.decode())
