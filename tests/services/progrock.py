"""ProgRock with some shipped recipes, used as another program uses it: over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from asyncio import Runner
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
from aiohttp import web

from actors.backends.offered import SERVICES
from dev.processes import ROOT, WEB, Stack, answers, wait_for, worker
from dev.redis import embedded, free_port

DEADLINE_S = 30

Job = dict[str, Any]


class ProgRock:
    """The web process, and the jobs of one visitor."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.client = httpx.Client(base_url=stack.url, trust_env=False, timeout=20)

    def start(self, backend: str, **params: Any) -> Job:
        answer = self.client.post("/jobs", json={"backend": backend, "params": params})
        assert answer.status_code == 202, answer.text
        job: Job = answer.json()
        return job

    def ask(self, job: Job, action: str) -> None:
        """Ask for a pause or a resume; the request is taken."""
        answer = self.client.post(f"/jobs/{job['job']}/{action}")
        assert answer.status_code == 202, answer.text

    def stop(self, job: Job) -> Job:
        """Ask for a stop; returns the job at its end."""
        answer = self.client.delete(f"/jobs/{job['job']}")
        assert answer.status_code == 202, answer.text
        return self.end(job)

    def until(self, job: Job, holds: Callable[[Job], object]) -> Job:
        """Return the job as soon as this holds; each revision is looked at."""
        return self.told(job, holds)[-1]

    def told(self, job: Job, holds: Callable[[Job], object]) -> list[Job]:
        """Return all revisions that were heard until this holds."""
        address, told = f"/jobs/{job['job']}", [job]
        deadline = time.monotonic() + DEADLINE_S
        while not holds(told[-1]):
            assert time.monotonic() < deadline, told[-1]
            assert not told[-1]["finished"], told[-1]
            query = {"after": told[-1]["revision"], "wait": 5}
            answer = self.client.get(address, params=query)
            if answer.status_code == 200:
                told.append(answer.json())
        return told

    def end(self, job: Job) -> Job:
        return self.until(job, lambda job: job["finished"])


@contextmanager
def progrock(*recipes: str, **environ: str) -> Iterator[ProgRock]:
    """Web and worker over a Redis of their own, with these shipped recipes."""
    wanted = {"PROGROCK_SHIPPED_RECIPES": ",".join(recipes), **environ}
    with (
        embedded() as redis,
        Stack(redis.url, PROGROCK_LIMITS="off", **wanted) as stack,
    ):
        working, web = stack.start(worker()), stack.start(WEB)
        wait_for(lambda: answers(f"{stack.url}/health/ready"), web)
        wait_for(lambda: "ready for action" in working.log(), working)
        ours = ProgRock(stack)
        with ours.client:
            yield ours


def proved(recipe: str, *params: str, **environ: str) -> str:
    """What `progrock recipe check` prints of a shipped recipe; all claims hold."""
    command = [sys.executable, "-m", "command", "recipe", "check"]
    options = [option for param in params for option in ("-p", param)]
    checked = subprocess.run(
        [*command, str(SERVICES / f"{recipe}.toml"), *options],
        env={**os.environ, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S * 3,
        check=False,
    )
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    return said


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder, also parts of files, in a thread; yields its address."""
    app, port = web.Application(), free_port()
    app.router.add_static("/", folder)
    with in_thread(app, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def in_thread(app: web.Application, port: int) -> Iterator[None]:
    """Serve an app of aiohttp in a thread while the context is open."""
    with Runner() as runner:
        site = runner.run(_serve(app, port))
        thread = Thread(target=runner.get_loop().run_forever, daemon=True)
        thread.start()
        yield
        runner.get_loop().call_soon_threadsafe(runner.get_loop().stop)
        thread.join()
        runner.run(site.cleanup())


async def _serve(app: web.Application, port: int) -> web.AppRunner:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner
