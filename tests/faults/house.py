"""The whole system under its supervisor, with the crowd and the recorder in it."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from dev.processes import BIN, DEMO, WEB, Process, Stack, answers
from dev.redis import Server, embedded

from .crowd import Crowd
from .ledger import Ledger
from .proxy import Proxy
from .recorder import Recorder
from .supervisor import Supervised
from .verdict import Excuses

WORKERS = 2
WORKER = [
    *(str(BIN / "dramatiq"), "tests.faults.twice", "--processes", "1"),
    *("--threads", "4", "--worker-shutdown-timeout", "5000"),
]
TOKEN = "the token of the crowd"


class House:
    """Redis, the demo service behind its proxy, two workers and the web."""

    def __init__(self, redis: Server, folder: Path, seed: int) -> None:
        self.redis = redis
        self.excuses = Excuses()
        self.ledger = Ledger()
        self.proxy = Proxy(self.excuses)
        self.rng = random.Random(seed)
        self.twice = folder / "twice"
        self._stack = Stack(
            redis.url,
            DEMO_URL=self.proxy.url,
            DEMO_ACCESS_LOG="off",
            PROGROCK_LIMITS="off",
            PROGROCK_API_TOKENS=f"crowd:{TOKEN}",
            FAULTS_TWICE_WHILE=str(self.twice),
        )
        self.crowd = Crowd(
            self._stack.url,
            TOKEN,
            self.ledger,
            self.excuses,
            random.Random(f"the crowd of {seed}"),  # it is used whenever a job ends
        )
        self.recorder = Recorder(redis.url, self.ledger)

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        """Run everything, and restart each process that ends."""
        with self._stack:
            async with self.proxy.serving(self._stack.demo_url):
                self.demo = self._supervised(DEMO, self._demo_is_ready)
                self.web = self._supervised(WEB, self._web_is_ready)
                self.workers = [
                    self._supervised(WORKER, _worker_is_ready) for _ in range(WORKERS)
                ]
                keepers = [asyncio.create_task(s.keep_up()) for s in self.supervised]
                try:
                    await self.ready()
                    yield
                finally:
                    await _end(keepers)

    @property
    def supervised(self) -> list[Supervised]:
        return [self.demo, self.web, *self.workers]

    def a_worker(self) -> Supervised:
        """One of the two workers, at random."""
        return self.rng.choice(self.workers)

    async def ready(self) -> None:
        """Wait until each process does its work; clear up after the ended processes."""
        await asyncio.gather(*(each.ready() for each in self.supervised))
        for each in self.supervised:
            each.clear_up()

    def log(self) -> str:
        """The end of each process's output."""
        return "\n\n".join(each.process.log()[-3000:] for each in self.supervised)

    def _supervised(
        self, command: list[str], is_ready: Callable[[Process], Awaitable[bool]]
    ) -> Supervised:
        return Supervised(
            lambda: self._stack.start(command), is_ready, self._note_a_crash
        )

    def _note_a_crash(self, process: Process) -> None:
        code, said = process.popen.returncode, process.log()[-1000:]
        self.ledger.breach("crash", f"a process ended by itself with {code}: {said}")

    async def _demo_is_ready(self, process: Process) -> bool:
        return "listens on" in process.log()

    async def _web_is_ready(self, process: Process) -> bool:
        return await asyncio.to_thread(answers, f"{self._stack.url}/health/ready")


@asynccontextmanager
async def house(seed: int) -> AsyncIterator[House]:
    """A house of its own; afterwards its processes and files are removed."""
    with ExitStack() as stack:
        redis = stack.enter_context(embedded(append_only=True))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        house = House(redis, folder, seed)
        async with house.standing():
            yield house


async def _worker_is_ready(process: Process) -> bool:
    return "ready for action" in process.log()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
