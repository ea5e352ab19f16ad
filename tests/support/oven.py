"""A little real server that answers as it is told, and an HTTP backend on it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from actors.backends import BackendError, Handle, Report
from actors.backends.http import HttpBackend
from actors.recipes.load import load_recipe
from dev.redis import free_port

SECRET = "hunter2"
OVEN: dict[str, Any] = {
    "title": "Oven",
    "unit": "loaves",
    "headers": {"Authorization": f"Bearer {SECRET}"},
    "start": {"request": "POST /loaves", "ref": {"body": "id"}},
    "status": {
        "request": "GET /loaves/{ref}",
        "state": "state",
        "done": "done",
        "total": "of.all",
        "message": "note",
        "error": "why",
        "states": {"running": ["baking"], "succeeded": ["baked"], "failed": ["burnt"]},
    },
    "cancel": {"request": "DELETE /loaves/{ref}"},
}
BY_ADDRESS = {
    "start": {"request": "POST /loaves", "ref": {"header": "Location"}},
    "status": OVEN["status"] | {"request": "GET {ref}"},
    "cancel": {"request": "DELETE {ref}"},
    "result": {"request": "GET {ref}/photo.png", "content_type": "image/png"},
}
IN_BULK = {"bulk": {"request": "GET /all?ids={refs}", "items": "loaves", "ref": "id"}}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Backend = Callable[..., HttpBackend]


@dataclass
class Oven:
    """A service that answers as it is told to."""

    port: int
    answer: Answer | None = None
    asked: list[web.Request] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def says(self, body: Any = None, status: int = 200, **headers: str) -> None:
        """Answer everything so; bytes are sent as they are, the rest as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): text for name, text in headers.items()}

        async def answer(request: web.Request) -> web.Response:
            return web.Response(body=raw, status=status, headers=named)

        self.answer = answer

    async def hear(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.read())
        assert self.answer is not None
        return await self.answer(request)


@pytest.fixture
async def oven() -> AsyncIterator[Oven]:
    oven = Oven(free_port())
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", oven.hear)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", oven.port).start()
    yield oven
    await runner.cleanup()


@pytest.fixture
async def backend(oven: Oven, tmp_path: Path) -> AsyncIterator[Backend]:
    """Make a backend on the oven; keywords replace tables of its recipe."""
    made = []

    def make(**changes: Any) -> HttpBackend:
        tables = OVEN | {"url": oven.url} | changes
        path = tmp_path / "oven.toml"
        path.write_text("\n".join(f"{k} = {toml(v)}" for k, v in tables.items()))
        made.append(HttpBackend("oven", load_recipe(path, {}), 200, 2000))
        return made[-1]

    yield make
    for backend in made:
        await backend.close()


def toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {toml(each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


async def report(backend: HttpBackend, ref: str = "7") -> Report | BackendError:
    [answer] = await backend.reports([Handle(ref)])
    return answer


def handles(*refs: str) -> list[Handle]:
    return [Handle(ref) for ref in refs]


async def refusal(backend: HttpBackend, ref: str = "7") -> BackendError:
    """The error that asking for a job's status gives."""
    error = await report(backend, ref)
    assert isinstance(error, BackendError)
    assert is_sentence(error)
    return error


async def start_refusal(backend: HttpBackend) -> BackendError:
    with pytest.raises(BackendError) as refused:
        await backend.start("a-job", {})
    assert is_sentence(refused.value)
    return refused.value


def is_sentence(error: BackendError) -> bool:
    """For people: whole, in one line, without an address or a secret."""
    text = error.message
    return (
        text[0].isupper()
        and text.endswith(".")
        and not any(hint in text for hint in ("\n", "://", "127.0.0.1", SECRET))
    )
