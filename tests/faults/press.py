"""A service that makes a job for each start, counts them, and answers late."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web

RECIPE = """
title = "Press"
url = "{url}"
[start]
request = "POST /jobs"
query.mark = "{{job}}"
ref.body = "id"
{more}
[status]
request = "GET /jobs/{{ref}}"
state = "state"
states.running = ["working"]
states.succeeded = ["done"]
states.failed = ["broken"]
"""
FIND = """
[start.find]
request = "GET /jobs"
query.mark = "{job}"
ref.body = "id"
"""
LIST = """
[list]
request = "GET /all"
items = "jobs"
ref = "id"
mark = "label"
"""
KINDS = {"never": "", "safe": 'repeat = "safe"', "find": FIND, "list": LIST}


class Press:
    """It holds the answer to a first start until `go`, and then for `hold_s` more."""

    def __init__(self) -> None:
        self.starts: Counter[str] = Counter()
        self.answered: set[str] = set()
        self.hold_s: dict[str, float] = {}
        self.go = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/jobs", self._start)
        app.router.add_get("/jobs", self._find)
        app.router.add_get("/all", self._list)
        app.router.add_get("/jobs/{id}", self._status)
        return app

    async def all_have_arrived(self, marks: list[str]) -> None:
        """Wait until a start with each mark is here."""
        while not all(self.starts[mark] for mark in marks):
            await asyncio.sleep(0.001)

    async def _start(self, request: web.Request) -> web.Response:
        mark = request.query["mark"]
        self.starts[mark] += 1
        name = f"{mark}.{self.starts[mark]}"
        if self.starts[mark] == 1:
            await self.go.wait()
            await asyncio.sleep(self.hold_s[mark])
        self.answered.add(mark)
        return web.json_response({"id": name})

    async def _find(self, request: web.Request) -> web.Response:
        mark = request.query["mark"]
        found = {"id": f"{mark}.1"} if self.starts[mark] else {}
        return web.json_response(found)

    async def _list(self, _: web.Request) -> web.Response:
        jobs = [{"id": f"{mark}.1", "label": f"job {mark}"} for mark in self.starts]
        return web.json_response({"jobs": jobs})

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response({"state": "done"})
