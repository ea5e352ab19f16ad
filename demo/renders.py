"""`/renders`: slow pictures of the Mandelbrot set."""

import asyncio
import secrets
from time import monotonic

from aiohttp import web

from .answers import Refusal, accepted, answer, read_order
from .mandelbrot import Picture
from .pool import Pool
from .register import Register
from .render import Render

MAX_ENDED = 200
MAX_ENDED_S = 3600


class Renders:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._register = Register[Render](max_ended=MAX_ENDED, max_ended_s=MAX_ENDED_S)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/renders", self.start),
            web.get("/renders/{id}", self.show),
            web.delete("/renders/{id}", self.stop),
            web.get("/renders/{id}/image.png", self.image),
        ]

    async def start(self, request: web.Request) -> web.Response:
        picture = await read_order(request, Picture)
        key = request.headers.get("Idempotency-Key")
        render = self._register.get_by_key(key) or self._add(picture, key)
        return accepted(render.status(), f"/renders/{render.id}")

    async def show(self, request: web.Request) -> web.Response:
        render = self._find(request)
        render.status_calls += 1
        return answer(render.status())

    async def stop(self, request: web.Request) -> web.Response:
        render = self._find(request)
        task = self._tasks.get(render.id)
        if task is None or not task.cancel():
            return answer(render.status())
        render.stop()
        return answer(render.status(), 202)

    async def image(self, request: web.Request) -> web.Response:
        render = self._find(request)
        if render.png is None:
            raise Refusal(409, "no_image", "This render has no image, or not yet.")
        return web.Response(body=render.png, content_type="image/png")

    async def close(self, _app: web.Application) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._pool.close()

    def _find(self, request: web.Request) -> Render:
        render = self._register.get(request.match_info["id"])
        if render is None:
            raise Refusal(404, "unknown_render", "There is no such render.")
        return render

    def _add(self, picture: Picture, key: str | None) -> Render:
        render = Render(secrets.token_hex(8), picture, key)
        self._register.add(render)
        task = asyncio.create_task(render.draw(self._pool))
        self._tasks[render.id] = task
        task.add_done_callback(lambda _: self._note_end(render))
        return render

    def _note_end(self, render: Render) -> None:
        now = monotonic()
        del self._tasks[render.id]
        self._register.note_end(render, now)
        self._register.drop_old(now)
