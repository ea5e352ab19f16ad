"""`/` and `/health`: the service's name and endpoints, and its health."""

from aiohttp import web

from .answers import answer

ENDPOINTS = [
    "POST /renders",
    "GET /renders/{id}",
    "DELETE /renders/{id}",
    "GET /renders/{id}/image.png",
    "POST /counters",
    "GET /counters?ids={id},{id}",
    "GET /counters/{id}",
    "DELETE /counters/{id}",
    "GET /health",
]


async def overview(_request: web.Request) -> web.Response:
    return answer({"service": "demo", "endpoints": ENDPOINTS})


async def health(_request: web.Request) -> web.Response:
    return answer({"healthy": True})


overview_routes = [web.get("/", overview), web.get("/health", health)]
