"""Around every request: its origin is checked, its answer's headers are completed."""

from __future__ import annotations

from quart import Quart, Response, g, request

from . import current_origins, current_visitors

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def install(app: Quart) -> None:
    """Check every request's origin and complete every answer's headers."""
    app.before_request(_check_origin)
    app.after_request(_complete)


async def _check_origin() -> None:
    if request.method != "OPTIONS":
        current_origins().check(request)


async def _complete(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    current_origins().share(request, response)
    if "visitor" in g:
        current_visitors().welcome(response, g.visitor)
    return response
