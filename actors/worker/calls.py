"""The calls that a worker has in hand: it keeps their leases and ends them well.

The actors hand jobs over and return at once, so a backend that hangs holds no thread
and no beat. The lease of a job in hand is renewed until the job is written back; if
this process dies, the lease ends and another worker goes on.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from msgspec.structs import replace
from redis.exceptions import RedisError

from actors.backends import Backend
from actors.clock import now_ms
from actors.store import LEASE_MS, Store
from actors.store.tags import backend_of
from actors.store.values import Beat, Due, Lease
from actors.telemetry.work import POLL_LATENESS_S

from .circuit import Circuits
from .deadline import is_overdue
from .outcomes import Outcomes
from .pace import Pace
from .starts import Starts
from .timing import batches
from .unknown import UnknownBackends
from .write_back import WriteBack

RENEW_AFTER_S = LEASE_MS / 1000 * 0.3
CLOSE_PATIENCE_S = 2
MIN_WAIT_S = 0.01  # shorter waits cost more than they smooth

logger = logging.getLogger(__name__)


class Calls:
    """The jobs that this process has leased, and the tasks that call their backends."""

    def __init__(
        self,
        store: Store,
        backends: Mapping[str, Backend],
        send_beats: Callable[[list[Beat]], Awaitable[None]],
        *,
        idle_interval_ms: int,
        grace_ms: int,
    ) -> None:
        self.store = store
        self.write_back = WriteBack(store, send_beats, self._failed)
        self._backends = backends
        self._idle_interval_ms = idle_interval_ms
        self._circuits, self._pace = Circuits(store.limits), Pace(store.limits)
        self._starts = Starts(store, self.write_back, self._circuits, self._pace)
        self._outcomes = Outcomes(
            self.write_back, self._starts, self._circuits, self._pace
        )
        self._unknown = UnknownBackends(self.write_back, grace_ms)
        self._tasks: dict[asyncio.Task[None], tuple[Lease, ...]] = {}
        self._waiting: set[asyncio.Task[None]] = set()

    async def due(self, lane: str, beat: int) -> Due | None:
        """Take all that is due on this beat; None if it is stale or all is done."""
        backend = self._backends.get(backend_of(lane))
        idle_ms = backend.idle_interval_ms if backend else self._idle_interval_ms
        return await self.store.beat(
            lane,
            beat,
            interval_ms=backend.poll_interval_ms if backend else idle_ms,
            idle_interval_ms=idle_ms,
        )

    def make(self, leases: list[Lease], redis_now_ms: int) -> None:
        """Call the backend of each job: start it, pass a request on, or ask how it is.

        All jobs are of one backend, the soonest first.
        """
        backend = self._backends.get(leases[0].job.backend) if leases else None
        if backend:
            self._circuits.learn(backend.name, leases[0].circuit)
        polls, now = [], now_ms()
        for lease in leases:
            lease.asked_ms = now
            if backend is None:
                self._unknown.met(lease)
                continue
            if lease.backend_state.unknown_since_ms:  # the recipe has come
                lease.backend_state = replace(lease.backend_state, unknown_since_ms=0)
            if lease.backend_state.ref is None:
                self._begin(self._starts.start(backend, lease), lease)
            elif is_overdue(backend, lease, now):
                self._outcomes.overdue(backend, lease)
            elif lease.job.has_unsent_request:
                self._begin(self._outcomes.send_request(backend, lease), lease)
            else:
                polls.append(lease)
        if polls:
            task = asyncio.create_task(self._poll_in_turn(polls, redis_now_ms))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def renew_forever(self) -> None:
        """Lengthen the leases of calls that take long."""
        while True:
            before = list(self._tasks.values())
            await asyncio.sleep(RENEW_AFTER_S)
            still = set(map(id, self._tasks.values()))
            slow = [leases for leases in before if id(leases) in still]
            try:
                await self.store.renew(itertools.chain(*slow))
            except RedisError as error:
                logger.warning("Leases could not be renewed: %s.", error)

    async def close(self) -> None:
        """Finish the calls that are nearly done, give the other jobs back."""
        await _end_all(self._waiting)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_PATIENCE_S)
        for lease in itertools.chain(*self._tasks.values()):
            self._outcomes.give_back(lease)
        await _end_all(self._tasks)
        await self.write_back.close(CLOSE_PATIENCE_S)
        for backend in self._backends.values():
            await backend.close()

    async def _poll_in_turn(self, leases: list[Lease], redis_now_ms: int) -> None:
        """Ask for each job at its moment, for a batch at the moment of its first."""
        backend = self._backends[leases[0].job.backend]
        clock = asyncio.get_running_loop().time
        started, lateness = clock(), POLL_LATENESS_S[backend.name]
        leases = await self._in_pace(backend, leases)
        waiting = deque(batches(leases, backend.batch_size))
        try:
            while waiting:
                ahead_s = (
                    (waiting[0][0].at_ms - redis_now_ms) / 1000 + started - clock()
                )
                if ahead_s > 0:
                    await asyncio.sleep(max(ahead_s, MIN_WAIT_S))
                batch = waiting.popleft()
                now_s = redis_now_ms / 1000 + clock() - started
                for lease in batch:
                    lateness.see(now_s - lease.due_ms / 1000)
                self._begin(self._outcomes.poll(backend, batch), *batch)
        finally:
            for lease in itertools.chain(*waiting):
                self._outcomes.give_back(lease)

    async def _in_pace(self, backend: Backend, leases: list[Lease]) -> list[Lease]:
        now, later = await self._pace.share(backend, leases, now_ms())
        for lease, wait_ms in later:
            self._outcomes.wait(lease, wait_ms)
        return now

    def _begin(self, call: Coroutine[Any, Any, None], *leases: Lease) -> None:
        task = asyncio.create_task(call)
        self._tasks[task] = leases
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        leases = self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()):
            for lease in leases:
                self._failed(lease, error)

    def _failed(self, lease: Lease, error: BaseException) -> None:
        """Count an unforeseen error as a missed call: the job gives up in time."""
        is_new = lease.backend_state.failures == 0
        cause = error if is_new else None
        logger.error(
            "Job %s failed in a new way: %r", lease.job_id, error, exc_info=cause
        )
        if not lease.is_broken and (backend := self._backends.get(lease.job.backend)):
            lease.is_broken = True  # if that cannot be written either, the lease ends
            self._outcomes.not_understood(backend, lease)


async def _end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
