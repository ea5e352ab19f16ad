"""Clients that are not ours read the streams to the end."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from dev.processes import ROOT, Stack

from .conftest import missing
from .support.chromium import QUIET, path_of_chromium
from .test_streams import over_events, over_websocket, start

Told = list[dict[str, Any]]
Client = Callable[[Stack], Awaitable[Told]]

SCRIPTS = ROOT / "tests" / "clients"
PATIENCE_S = 30

NATIVE_EVENTS = """(job) => new Promise((resolve) => {
  const told = []
  const source = new EventSource(`/events?job=${job}`)
  source.onmessage = (event) => told.push(JSON.parse(event.data))
  source.onerror = () => source.readyState === EventSource.CLOSED && resolve(told)
})"""
NATIVE_SOCKET = """(job) => new Promise((resolve) => {
  const told = []
  const socket = new WebSocket(`ws://${location.host}/prog/`)
  socket.onopen = () => socket.send(JSON.stringify({ action: "watch", job }))
  socket.onmessage = (event) => {
    const frame = JSON.parse(event.data)
    if ("revision" in frame) told.push(frame)
    if (frame.finished) resolve(told)
  }
})"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Our scripts beside the packages that they import from npm."""
    if not (shutil.which("node") and shutil.which("npm")):
        missing("Node")
    folder = tmp_path_factory.mktemp("npm") / "clients"
    shutil.copytree(SCRIPTS, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-save"]
    subprocess.run(command, cwd=folder, check=True, timeout=120, capture_output=True)
    yield folder
    shutil.rmtree(folder)


async def websockets(stack: Stack) -> Told:
    job, cookie = await start(stack, seconds=2)
    return [snapshot async for snapshot in over_websocket(stack, job, cookie)]


async def httpx_sse(stack: Stack) -> Told:
    job, cookie = await start(stack, seconds=2)
    return [snapshot async for snapshot in over_events(stack, job, cookie)]


async def curl(stack: Stack) -> Told:
    job, cookie = await start(stack, seconds=2)
    command = ("curl", "-sN", "-b", cookie, f"{stack.url}/events?job={job}")
    lines = (await output(*command)).splitlines()
    assert lines[-3:] == ["event: end", "data: {}", ""]
    told = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    return told[:-1]


async def chromium_event_source(stack: Stack) -> Told:
    return await in_chromium(NATIVE_EVENTS, stack)


async def chromium_web_socket(stack: Stack) -> Told:
    return await in_chromium(NATIVE_SOCKET, stack)


@pytest.mark.parametrize(
    "client",
    [websockets, httpx_sse, curl, chromium_event_source, chromium_web_socket],
)
async def test_a_client_that_is_not_ours_reads_to_the_end(
    stack: Stack, client: Client
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        assert_whole(await client(stack))


@pytest.mark.parametrize("name", ["ws", "eventsource", "reconnecting-eventsource"])
async def test_a_package_from_npm_reads_to_the_end(
    stack: Stack, packages: Path, name: str
) -> None:
    job, cookie = await start(stack, seconds=2)

    async with asyncio.timeout(PATIENCE_S):
        script = str(packages / f"{name}.mjs")
        said = await output("node", script, stack.url, job, cookie)

    assert_whole([json.loads(line) for line in said.splitlines()])


def assert_whole(told: Told) -> None:
    """Each snapshot is newer than the one before, and only the last is the end."""
    revisions = [each["revision"] for each in told]
    assert revisions == sorted(set(revisions))
    assert len(told) >= 4
    assert [each["finished"] for each in told] == [False] * (len(told) - 1) + [True]
    assert told[-1]["status"] == "succeeded"


async def output(*command: str) -> str:
    """The output of a command that ends by itself."""
    if shutil.which(command[0]) is None:
        missing(command[0])
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        said, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaints.decode()
    return said.decode()


async def in_chromium(script: str, stack: Stack) -> Told:
    """Run a script on a job in a page of ours, once the browser is there."""
    path = path_of_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        context = await browser.new_context(base_url=stack.url)
        page = await context.new_page()
        await page.goto("/health/live")
        job, cookie = await start(stack, seconds=2)
        name, _, value = cookie.partition("=")
        await context.add_cookies([{"name": name, "value": value, "url": stack.url}])
        told: Told = await page.evaluate(script, job)
        await browser.close()
        return told
