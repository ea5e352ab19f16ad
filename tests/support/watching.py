"""Some jobs, and a watcher that comes again whenever its connection is lost."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import suppress
from time import monotonic
from typing import Any

import httpx
import websockets

from dev.processes import Stack

TOKENS = "ann:0123456789abcdef,cook:fedcba9876543210"
COOK = {"Authorization": "Bearer fedcba9876543210"}
PATIENCE_S = 60


class Watching:
    """Jobs of one owner, all watched on one socket."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.jobs: list[str] = []
        self.told: dict[str, list[tuple[float, dict[str, Any]]]] = defaultdict(list)

    async def start(self, number: int, seconds: float) -> None:
        """Start counters that take so long."""
        params = {"total": 1000, "seconds": seconds}
        await self.start_all(number, {"backend": "counter", "params": params})

    async def start_all(self, number: int, order: dict[str, Any]) -> None:
        async with httpx.AsyncClient(base_url=self._stack.url, trust_env=False) as web:
            for _ in range(number):
                answer = await web.post("/jobs", json=order, headers=COOK)
                assert answer.status_code == 202, answer.text
                self.jobs.append(answer.json()["job"])

    async def watch(self) -> None:
        """Return when all jobs have ended."""
        async with asyncio.timeout(PATIENCE_S):
            while self.open_jobs():
                try:
                    await self._watch_once()
                except (OSError, websockets.WebSocketException):
                    await asyncio.sleep(0.2)

    def open_jobs(self) -> list[str]:
        """The jobs whose end has not been told."""
        return [job for job in self.jobs if not self._has_ended(job)]

    async def goes_on(self, since: float) -> None:
        """Wait until each job was told of after a moment, or has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while not all(self._was_told(job, since) for job in self.jobs):
                await asyncio.sleep(0.05)

    def moved_after(self, moment: float) -> float:
        """How long it took until each job, unless it had ended, was told of again."""
        late = [0.0]
        for job, told in self.told.items():
            if told[-1][0] < moment:
                assert told[-1][1]["finished"], f"{job} stood still."
                continue
            late.append(min(at for at, _ in told if at >= moment) - moment)
        return max(late)

    def assert_well_told(self) -> None:
        """Each job has succeeded, was told its end once, and never went back."""
        for told in self.told.values():
            snapshots = [snapshot for _, snapshot in told]
            assert snapshots[-1]["status"] == "succeeded", snapshots[-1]
            assert sum(each["finished"] for each in snapshots) == 1
            progress = [each["progress"] or 0 for each in snapshots]
            assert progress == sorted(progress)

    async def _watch_once(self) -> None:
        async with websockets.connect(
            self._stack.socket_url, additional_headers=COOK, proxy=None
        ) as socket:
            asked: set[str] = set()
            while open_jobs := self.open_jobs():
                for job in set(open_jobs) - asked:  # more may have been started
                    await socket.send(json.dumps({"action": "watch", "job": job}))
                asked |= set(open_jobs)
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        said = json.loads(await socket.recv())
                    if "revision" in said:
                        self._tell(said)

    def _tell(self, snapshot: dict[str, Any]) -> None:
        told = self.told[snapshot["job"]]
        if not told or told[-1][1]["revision"] != snapshot["revision"]:
            told.append((monotonic(), snapshot))

    def _was_told(self, job: str, since: float) -> bool:
        told = self.told[job]
        return self._has_ended(job) or bool(told and told[-1][0] > since)

    def _has_ended(self, job: str) -> bool:
        return bool(self.told[job]) and self.told[job][-1][1]["finished"]
