"""`make kills`: a worker killed between a start and the note of the job's name.

Each kill hits a start of each kind of recipe. The exit code is 1 if a promise was
broken: never two jobs if a start may not be repeated, never a lost one if it may.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from dev.processes import WEB, Process, Stack, answers, wait_for, worker
from dev.redis import embedded, free_port

from .press import KINDS, RECIPE, Press

KILLS = 50
MAX_HOLD_S = 0.02
END_S = 30
TOKEN = "the token of the kills"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(slots=True)
class Tally:
    """The outcomes of all starts of one kind of recipe."""

    kind: str
    kills: int = 0
    before_the_answer: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)

    def add(self, job: dict[str, Any], jobs_there: int, was_answered: bool) -> None:
        """Note the end of a start that was hit, and hold it against the promises."""
        self.kills += 1
        self.before_the_answer += not was_answered
        ended = job["error"]["code"] if job["error"] else job["status"]
        self.outcomes[f"{ended}, {jobs_there} there"] += 1
        if jobs_there > 1 and self.kind != "safe":
            self.breaches.append(f"{jobs_there} jobs were started for {job['job']}.")
        allowed = ("succeeded", "start_unknown")
        if ended not in (allowed if self.kind == "never" else allowed[:1]):
            self.breaches.append(f"{job['job']} is lost: {job['error'] or ended}.")

    def line(self) -> str:
        outcomes = ", ".join(f"{n} times ({what})" for what, n in self.outcomes.items())
        return (
            f"{self.kind:6} {self.kills:3} kills, {self.before_the_answer:3} before "
            f"the answer: {outcomes}; {len(self.breaches)} broken promises"
        )


class Kills:
    """The processes, and what becomes of the jobs whose start was hit."""

    def __init__(self, stack: Stack, press: Press, rng: random.Random) -> None:
        self.tallies = {kind: Tally(kind) for kind in KINDS}
        self._stack = stack
        self._press = press
        self._rng = rng

    async def hit(self, session: aiohttp.ClientSession) -> None:
        """Start a job of each kind, kill the worker, and see the jobs end."""
        press, rng = self._press, self._rng
        press.go.clear()
        doomed = await asyncio.to_thread(self._worker)
        jobs = {kind: await self._submit(session, kind) for kind in KINDS}
        press.hold_s = {job: rng.uniform(0, MAX_HOLD_S) for job in jobs.values()}
        await press.all_have_arrived(list(jobs.values()))
        press.go.set()
        await asyncio.sleep(rng.uniform(0, 2 * MAX_HOLD_S))
        doomed.signal_group(signal.SIGKILL)
        answered = set(press.answered)
        await asyncio.to_thread(doomed.wait)
        doomed.end()
        heir = await asyncio.to_thread(self._worker)
        for kind, job in jobs.items():
            ended = await self._end(session, job)
            tally = self.tallies[kind]
            tally.add(ended, press.starts[job], job in answered)
        await asyncio.to_thread(heir.end)

    async def _submit(self, session: aiohttp.ClientSession, kind: str) -> str:
        body = {"backend": kind, "params": {}}
        async with session.post("/jobs", json=body) as answer:
            job: str = (await answer.json())["job"]
            self._press.hold_s[job] = MAX_HOLD_S
            return job

    async def _end(self, session: aiohttp.ClientSession, job: str) -> dict[str, Any]:
        revision = 0
        async with asyncio.timeout(END_S):
            while True:
                url = f"/jobs/{job}?after={revision}&wait=5"
                async with session.get(url) as answer:
                    said: dict[str, Any] = await answer.json()
                if said["finished"]:
                    return said
                revision = said["revision"]

    def _worker(self) -> Process:
        process = self._stack.start(worker())
        wait_for(lambda: "ready for action" in process.log(), process)
        return process


async def run(kills: int, seed: int, tell: Callable[[str], None]) -> list[Tally]:
    """Hit starts of each kind so often; returns the tally of each kind."""
    press = Press()
    async with _serving(press) as url, _standing(url) as stack:
        hits = Kills(stack, press, random.Random(seed))
        async with aiohttp.ClientSession(stack.url, headers=HEADERS) as session:
            for number in range(1, kills + 1):
                await hits.hit(session)
                tell(f"{number:4}")
        return list(hits.tallies.values())


@asynccontextmanager
async def _serving(press: Press) -> AsyncIterator[str]:
    port = free_port()
    runner = web.AppRunner(press.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@asynccontextmanager
async def _standing(url: str) -> AsyncIterator[Stack]:
    with embedded() as redis, tempfile.TemporaryDirectory() as folder:
        for kind, more in KINDS.items():
            recipe = RECIPE.format(url=url, more=more)
            (Path(folder) / f"{kind}.toml").write_text(recipe)
        settings = {
            "PROGROCK_RECIPES": folder,
            "PROGROCK_SHIPPED_RECIPES": "off",
            "PROGROCK_DEFAULT_BACKEND": "never",
            "PROGROCK_IDLE_INTERVAL_MS": "200",
            "PROGROCK_LIMITS": "off",
            "PROGROCK_API_TOKENS": f"kills:{TOKEN}",
        }
        with Stack(redis.url, **settings) as stack:
            process = stack.start(WEB)
            is_up = f"{stack.url}/health/live"
            await asyncio.to_thread(wait_for, lambda: answers(is_up), process)
            yield stack


def main() -> None:
    os.environ["PROGROCK_ENV"] = "development"
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000))
    parser.add_argument("--kills", type=int, default=KILLS)
    arguments = parser.parse_args()
    _say(f"Seed {arguments.seed}")
    tallies = asyncio.run(run(arguments.kills, arguments.seed, _say))
    for tally in tallies:
        _say("\n".join([tally.line(), *tally.breaches]))
    sys.exit(any(tally.breaches for tally in tallies))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
