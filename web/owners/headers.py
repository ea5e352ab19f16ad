"""What happens around every request: who asks, from which page, with which answer."""

from __future__ import annotations

from quart import Quart, Response, g, request

from web.owners.jobs import desk
from web.owners.visitors import Visitor

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


def visitor() -> Visitor:
    """Who asks; a new visitor is given a cookie with the answer."""
    if "visitor" not in g:
        g.visitor = desk().access.visitor(request)
    found = g.visitor
    assert isinstance(found, Visitor)
    return found


async def _check_origin() -> None:
    if request.method != "OPTIONS":
        desk().access.check_origin(request)


async def _complete(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    desk().access.share(request, response)
    if "visitor" in g:
        desk().access.welcome(response, g.visitor)
    return response
