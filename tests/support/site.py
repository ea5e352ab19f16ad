"""One Redis with web processes over it and no worker: the tests move the jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from actors import Job
from actors.store import Store
from actors.store.redis import connect
from dev.processes import WEB, Process, Stack, answers, wait_for
from dev.redis import Server, embedded, free_port

from . import jobs

TOKEN = next(token for token, name in jobs.TOKENS.items() if name == "alice")
BEAT_S = 0.2


@dataclass
class Web:
    """One web process."""

    port: int
    process: Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/prog/"

    def memory(self) -> int:
        """How many bytes of RAM it has."""
        rss: int = psutil.Process(self.process.pid).memory_info().rss
        return rss

    def peers(self) -> set[int]:
        """The ports of its peers."""
        found = psutil.Process(self.process.pid).net_connections("tcp")
        return {
            each.raddr.port
            for each in found
            if each.raddr and each.laddr.port == self.port
        }


class Site:
    """The processes of one test, and the store that moves their jobs."""

    def __init__(self, redis: Server, stack: Stack, store: Store) -> None:
        self.redis, self.store = redis, store
        self._stack = stack

    async def serve(self, port: int = 0, **environ: str) -> Web:
        """Start one more web process; returns when it is ready."""
        web_port = port or free_port()
        process = self._stack.start(WEB, PORT=str(web_port), **environ)
        web = Web(web_port, process)
        ready = f"{web.url}/health/ready"
        await asyncio.to_thread(wait_for, lambda: answers(ready), process)
        return web

    @asynccontextmanager
    async def moving(self, job: Job) -> AsyncIterator[None]:
        """Let a job change with every beat, and end it afterwards."""
        task = asyncio.create_task(self._move(job))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        found = await self.store.load(job.job)
        assert found
        await jobs.end(self.store, found)

    async def _move(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time()
        for tenths in range(1, 1000):
            job = await jobs.run(self.store, job, tenths / 10)
            at += BEAT_S
            await asyncio.sleep(at - loop.time())


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """A Redis of its own; all that was started over it is stopped with it."""
    tokens = ",".join(f"{name}:{token}" for token, name in jobs.TOKENS.items())
    with embedded() as redis, Stack(redis.url, PROGROCK_API_TOKENS=tokens) as stack:
        store = Store(connect(redis.url), job_ttl_s=3600, poll_interval_ms=200)
        try:
            yield Site(redis, stack, store)
        finally:
            await store.close()
