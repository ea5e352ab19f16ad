"""A rolling upgrade from the last release: its jobs go on, none is started twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tarfile
from collections import Counter
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from time import monotonic

import pytest
from aiohttp import web

from dev.processes import ROOT, WEB, Process, Stack, answers, wait_for, worker
from dev.redis import embedded, free_port

from .support.watching import TOKENS, Watching

LAST_RELEASE = "369ba14"
JOBS = 200
RECIPE = """
title = "Press"
url = "http://127.0.0.1:{port}"
poll_interval_ms = 200

[start]
request = "POST /prints"
ref = "id"
repeat = "never"

[status]
request = "GET /prints/{{ref}}"
state = "state"
progress = "progress"

[status.states]
running = ["printing"]
succeeded = ["printed"]
failed = []
"""


class Press:
    """A service that counts the starts of each job; a job takes its time."""

    def __init__(self) -> None:
        self.port = free_port()
        self.starts: Counter[str] = Counter()
        self._begun: dict[str, tuple[float, float]] = {}

    async def start(self, request: web.Request) -> web.Response:
        self.starts[request.headers["Idempotency-Key"]] += 1
        ref = str(len(self._begun))
        self._begun[ref] = monotonic(), 4 + len(self._begun) % 10
        return web.json_response({"id": ref})

    async def show(self, request: web.Request) -> web.Response:
        begun, seconds = self._begun[request.match_info["ref"]]
        progress = min(100 * (monotonic() - begun) / seconds, 100)
        state = "printed" if progress == 100 else "printing"
        return web.json_response({"state": state, "progress": progress})


@pytest.fixture
async def press() -> AsyncIterator[Press]:
    press = Press()
    app = web.Application()
    app.router.add_post("/prints", press.start)
    app.router.add_get("/prints/{ref}", press.show)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", press.port).start()
    yield press
    await runner.cleanup()


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The code of the last release."""
    packed = subprocess.run(
        ["git", "archive", LAST_RELEASE], cwd=ROOT, capture_output=True, check=False
    )
    if packed.returncode:
        pytest.skip("The repository here has no history with the last release in it.")
    folder = tmp_path / "release"
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def ready(stack: Stack, process: Process) -> None:
    wait_for(lambda: answers(f"{stack.url}/health/ready"), process)


def works(process: Process) -> None:
    wait_for(lambda: "ready for action" in process.log(), process)


async def test_jobs_under_way_are_carried_on(
    press: Press, release: Path, tmp_path: Path
) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "press.toml").write_text(RECIPE.format(port=press.port))
    environ = {
        "PROGROCK_RECIPES": os.fspath(recipes),
        "PROGROCK_SHIPPED_RECIPES": "off",
        "PROGROCK_API_TOKENS": TOKENS,
        "PROGROCK_LIMITS": "off",
    }
    with embedded() as redis, Stack(redis.url, **environ) as stack:
        old_worker = stack.start(worker(), cwd=release)
        old_web = stack.start(WEB, cwd=release)
        await asyncio.to_thread(works, old_worker)
        await asyncio.to_thread(ready, stack, old_web)
        watching = Watching(stack)
        order = {"backend": "press", "params": {}}
        await watching.start_all(JOBS // 2, order)
        watch = asyncio.create_task(watching.watch())

        new_worker = stack.start(worker())
        await asyncio.to_thread(works, new_worker)
        await watching.start_all(JOBS // 4, order)
        await asyncio.to_thread(old_worker.end)
        await asyncio.to_thread(old_web.end)
        new_web = stack.start(WEB)
        await asyncio.to_thread(ready, stack, new_web)
        await watching.start_all(JOBS // 4, order)
        await watch

        watching.assert_well_told()
        assert len(watching.told) == JOBS
        assert press.starts == dict.fromkeys(watching.jobs, 1)
