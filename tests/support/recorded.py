"""Recorded answers of a service, and a little real server that replays them in order.

`tests/recorded/NAME/` has one file for each call, `1-start.json`, `2-status.json`, …:
the request as it must come, the answer as the documentation at `documented_at` shows,
or as a real server of the version `recorded_from` has given it.
Calls with the same number, such as `2-status.item.json`, may come in any order.
`play.json` has the variables of the recipe, the params of the job, and the reports that
the status calls must give; if several jobs are started, also our ids of these jobs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from msgspec.structs import replace

from actors.backends import BackendError, Handle, Report
from dev.redis import free_port

RECORDED = Path(__file__).parent.parent / "recorded"
NAMES = sorted(folder.name for folder in RECORDED.iterdir() if folder.is_dir())


@dataclass
class Call:
    """One call: the action, the request that must come, and the answer."""

    number: int
    action: str
    request: str
    status: int
    documented_at: str = ""
    recorded_from: str = ""
    answer: Any = None
    sends: Any = None
    sends_headers: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Play:
    """All calls of one recipe, in order."""

    name: str
    environ: dict[str, str]
    params: dict[str, Any]
    ref: str
    reports: list[dict[str, Any]]
    calls: list[Call]
    jobs: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, name: str) -> Play:
        folder = RECORDED / name
        calls = [_call(path) for path in folder.glob("*-*.json")]
        calls.sort(key=lambda call: call.number)
        play = json.loads((folder / "play.json").read_text())
        return cls(name, calls=calls, **play)

    @property
    def actions(self) -> list[str]:
        """The actions in order, one for all calls that have the same number."""
        by_number = {call.number: call.action for call in self.calls}
        return list(by_number.values())


def _call(path: Path) -> Call:
    number, _, rest = path.stem.partition("-")
    action = rest.partition(".")[0]
    return Call(int(number), action, **json.loads(path.read_text()))


class Replay:
    """A server that expects these calls, and answers each as it was recorded."""

    def __init__(self, calls: list[Call]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.mistakes: list[str] = []
        self._left = list(calls)

    @property
    def left(self) -> list[str]:
        """The requests that have not come."""
        return [call.request for call in self._left]

    async def hear(self, request: web.Request) -> web.Response:
        came = f"{request.method} {request.raw_path}"
        if not self._left:
            self.mistakes.append(f"{came} is one too many")
            return web.Response(status=500)
        call = self._take(came)
        self._compare("request", call.request, came)
        self._compare("body", call.sends, await _body(request))
        for name, value in call.sends_headers.items():
            self._compare(name, value, request.headers.get(name))
        headers = {k: v.replace("{url}", self.url) for k, v in call.headers.items()}
        if call.answer is None:
            return web.Response(status=call.status, headers=headers)
        return web.json_response(call.answer, status=call.status, headers=headers)

    def _take(self, came: str) -> Call:
        """Take the next call, among those with its number the one that came."""
        due = [call for call in self._left if call.number == self._left[0].number]
        call = next((call for call in due if call.request == came), due[0])
        self._left.remove(call)
        return call

    def _compare(self, part: str, wanted: Any, came: Any) -> None:
        if wanted != came:
            self.mistakes.append(f"{part}: {wanted!r} was expected, {came!r} came")


async def _body(request: web.Request) -> Any:
    raw = await request.read()
    if request.content_type == "application/x-www-form-urlencoded":
        return [list(pair) for pair in parse_qsl(raw.decode())]
    if request.content_type == "text/plain":
        return raw.decode()
    return json.loads(raw) if raw else None


@asynccontextmanager
async def replayed(calls: list[Call]) -> AsyncIterator[Replay]:
    """Serve the calls; `mistakes` and `left` say which did not come as recorded."""
    replay = Replay(calls)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", replay.hear)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = int(replay.url.rpartition(":")[2])
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield replay
    finally:
        await runner.cleanup()


def after(answer: Report | BackendError, job: Handle) -> Handle:
    """The job with all that its worker would remember of an answer."""
    if not isinstance(answer, Report):
        return job
    return job._replace(ref=answer.ref or job.ref, kept={**job.kept, **answer.kept})


def said(answer: Report | BackendError) -> dict[str, Any] | str:
    """All that people see of a report, without the fields that it leaves open."""
    if not isinstance(answer, Report):
        return answer.code
    seen = replace(answer, kept={}, ref=None, is_seen=True)
    shown = msgspec.json.decode(msgspec.json.encode(seen))
    return {
        name: value
        for name, value in shown.items()
        if name != "is_seen" and value not in (None, {})
    }
