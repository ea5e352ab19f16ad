"""A constant number of running jobs, each with two watchers."""

from __future__ import annotations

import asyncio
import random
import secrets
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

import aiohttp
import msgspec

from .ledger import Ledger
from .verdict import Excuses, wrong_end
from .watchers import EventsWatcher, SocketWatcher, Watcher

COUNT_TO = 1_000_000  # so far that every poll finds a new count
SECONDS = (3, 20)
SHARE_STOPPED = 0.15  # of the jobs, before their end
PATIENCE_S = 60  # how much later than without faults a job may end
RETRY_S = 0.3
ASK_S = 10
UNDER_WAY = ("queued", "running", "stopping")


@dataclass(frozen=True, slots=True)
class Held:
    """One job and its two watchers."""

    job: str
    seconds: float
    asked_at: float
    watchers: tuple[Watcher, Watcher]

    @property
    def is_under_way(self) -> bool:
        """Whether both watchers have seen the job start, and still watch."""
        return all(
            w.outcome == "watching" and w.last and w.last.started_at
            for w in self.watchers
        )

    @property
    def has_ended(self) -> bool:
        """Whether both watchers know the job's end."""
        return all(w.outcome != "watching" for w in self.watchers)

    async def watch(self) -> None:
        """Watch the job until its end, or until it is much too late."""
        async with asyncio.TaskGroup() as tasks:
            for watcher in self.watchers:
                tasks.create_task(watcher.watch(self.seconds + PATIENCE_S))


class Crowd:
    """Starts jobs and watches them; each ended job is replaced by a new one."""

    def __init__(
        self, url: str, token: str, ledger: Ledger, excuses: Excuses, rng: random.Random
    ) -> None:
        self.held: dict[str, Held] = {}
        self.started = 0
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._ledger = ledger
        self._excuses = excuses
        self._rng = rng
        self._leaving = asyncio.Event()

    async def hold(self, jobs: int) -> None:
        """Keep so many jobs running until `leave()`, then wait for their ends."""
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(
                headers=self._headers, connector=connector
            ) as self._session,
            asyncio.TaskGroup() as places,
        ):
            for _ in range(jobs):
                places.create_task(self._fill_a_place())

    def leave(self) -> None:
        """Start no more jobs."""
        self._leaving.set()

    async def unfinished(self) -> int:
        """The number of jobs under way, also of those whose start got no answer."""
        return sum([await self._count(status) for status in UNDER_WAY])

    @property
    def size(self) -> int:
        """The number of jobs that have not ended."""
        return sum(not held.has_ended for held in self.held.values())

    def watchers(self) -> list[Watcher]:
        """Every watcher of the jobs that are held or have just ended."""
        return [watcher for held in self.held.values() for watcher in held.watchers]

    def forget_the_ended(self) -> None:
        """Keep only the jobs that have not ended."""
        self.held = {j: held for j, held in self.held.items() if not held.has_ended}

    async def _fill_a_place(self) -> None:
        while not self._leaving.is_set():
            held = await self._start()
            self.held[held.job] = held
            stopping = asyncio.create_task(self._stop_some(held))
            try:
                await held.watch()
            finally:
                stopping.cancel()
            self._judge(held)

    async def _start(self) -> Held:
        seconds = self._rng.uniform(*SECONDS)
        job, asked_at = await self._order(seconds, secrets.token_hex(8))
        self.started += 1
        watchers = (
            SocketWatcher(self._session, self._url, job, self._ledger),
            EventsWatcher(self._session, self._url, job, self._ledger),
        )
        return Held(job, seconds, asked_at, watchers)

    async def _order(self, seconds: float, key: str) -> tuple[str, float]:
        """Ask until a job is accepted; with the key, repeated orders make one job.

        Also returns when it was asked for: Redis may forget it before the answer comes.
        """
        order = {
            "backend": "counter",
            "params": {"total": COUNT_TO, "seconds": seconds},
        }
        while True:
            asked_at = monotonic()
            status, body = await self._ask("POST", "/jobs", order, key)
            if status == 202:
                return str(msgspec.json.decode(body)["job"]), asked_at
            await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))

    async def _stop_some(self, held: Held) -> None:
        """Stop a random share of the jobs, each at a random time."""
        at = self._rng.uniform(0, held.seconds)
        if self._rng.random() > SHARE_STOPPED:
            return
        await asyncio.sleep(at)
        while (await self._ask("DELETE", f"/jobs/{held.job}"))[0] not in (200, 202):
            await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))

    async def _ask(
        self, method: str, path: str, json: object = None, key: str = ""
    ) -> tuple[int, bytes]:
        """Status and body of an answer; the status is 0 if there is none."""
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.request(
                method,
                f"{self._url}{path}",
                json=json,
                headers={"Idempotency-Key": key} if key else None,
                timeout=aiohttp.ClientTimeout(ASK_S),
            ) as answer:
                return answer.status, await answer.read()
        return 0, b""

    async def _count(self, status: str) -> int:
        async with aiohttp.ClientSession(headers=self._headers) as session:
            url = f"{self._url}/jobs?status={status}&limit=100"
            async with session.get(url) as answer:
                return len(msgspec.json.decode(await answer.read())["jobs"])

    def _judge(self, held: Held) -> None:
        for watcher in held.watchers:
            wrong = wrong_end(
                watcher.outcome, watcher.last, held.asked_at, self._excuses
            )
            if wrong:
                who = f"{watcher.transport}, job {held.job}"
                self._ledger.breach("lost", f"{who}: {wrong}; {watcher.last}")
