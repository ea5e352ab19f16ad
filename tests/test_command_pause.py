"""The prover, where a service drops a pause, as some do just after a start."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from aiohttp import web

from .support.oven import OVEN, Oven, toml

STATES = {
    "running": ["baking"],
    "paused": ["cold"],
    "succeeded": ["baked"],
    "failed": ["burnt"],
}


class Dropping:
    """Takes every pause, and obeys only the one of this number; 0 obeys none."""

    def __init__(self, obeys: int) -> None:
        self._obeys = obeys
        self._state = "baking"
        self.pauses = 0
        self.starts = 0

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/loaves":
            self.starts += 1
            self._state = "baking" if self.starts == 1 else "baked"
            return web.json_response({"id": str(self.starts)})
        if request.path.endswith("/pause"):
            self.pauses += 1
            if self.pauses == self._obeys:
                self._state = "cold"
            return web.json_response({"said": "I will"})
        if request.path.endswith("/resume"):
            self._state = "baking"
        if request.method == "DELETE":
            self._state = "gone"
        if request.path.split("/")[2] != str(self.starts) or self._state == "gone":
            return web.json_response({}, status=404)
        return web.json_response({"state": self._state})


@pytest.mark.parametrize(
    ("obeys", "code", "pause", "resume"),
    [
        (1, 0, "paused", "holds"),
        (2, 0, "paused when asked a second time", "holds"),
        (0, 1, 'though asked twice; that was answered: {"said": "I will"}', "not seen"),
    ],
)
async def test_a_pause_is_sent_once_more_and_a_resume_without_one_is_no_proof(
    oven: Oven, tmp_path: Path, obeys: int, code: int, pause: str, resume: str
) -> None:
    service = Dropping(obeys)
    oven.answer = service.answer
    status = {"request": "GET /loaves/{ref}", "state": "state", "states": STATES}
    tables = OVEN | {"url": oven.url, "status": status}
    for action in ("pause", "resume"):
        tables[action] = {"request": f"POST /loaves/{{ref}}/{action}"}
    path = tmp_path / "oven.toml"
    path.write_text("\n".join(f"{k} = {toml(v)}" for k, v in tables.items()))

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "command", "recipe", "check", str(path)),
        stdout=asyncio.subprocess.PIPE,
    )
    said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()

    assert process.returncode == code, said
    assert service.pauses == (obeys or 2)
    lines = said.splitlines()
    assert pause in next(line for line in lines if "pause: " in line)
    assert next(line for line in lines if "resume: " in line).startswith(resume)
