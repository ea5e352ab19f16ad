"""Around every request: its id, its line in the access log, and that it counts."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable
from time import perf_counter
from typing import Any
from urllib.parse import quote

from quart import (
    Quart,
    Request,
    Response,
    Websocket,
    g,
    has_request_context,
    request,
    websocket,
)
from quart.typing import ResponseTypes

from actors import Spreads, Tally, about, request_id, traces

from .problems import job_of

HEADER = "X-Request-Id"
_SANE = re.compile(rb"[\w.:/+=@-]{1,128}", re.ASCII)

REQUESTS = Tally(
    "progrock_requests_total",
    "Requests that were answered, handshakes too; a stream counts when it opens.",
    "status",
)
REQUEST_S = Spreads("progrock_request_seconds", "How long an answer took.", known=((),))

logger = logging.getLogger("web.access")


def identify(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Take the id that a proxy gave the request, or give it one."""
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    is_sane = _SANE.fullmatch(given)
    request_id.set(given.decode() if is_sane else secrets.token_urlsafe(12))


def install(app: Quart, *, access_log: bool) -> None:
    """Note every request; log each if there is an access log."""

    async def begin() -> None:
        g.began_at = perf_counter()
        asking: Any = request if has_request_context() else websocket
        rule = asking.url_rule.rule if asking.url_rule else "an unknown address"
        traces.begin_request(f"{asking.method} {rule}", asking.headers)

    async def end(response: Response) -> Response:
        response.headers[HEADER] = request_id.get()
        _note(request, response.status_code, access_log)
        return response

    async def end_handshake(response: ResponseTypes | None) -> ResponseTypes | None:
        if response is not None:
            response.headers[HEADER] = request_id.get()
        status = 101 if response is None else response.status_code
        _note(websocket, status, access_log)
        return response

    app.before_request(begin)
    app.before_websocket(begin)
    app.after_request(end)
    app.after_websocket(end_handshake)


def _note(asking: Request | Websocket, status: int, access_log: bool) -> None:
    seconds = perf_counter() - g.get("began_at", perf_counter())
    traces.end_request(status)
    REQUESTS[str(status)] += 1
    REQUEST_S[()].see(seconds)
    if access_log:
        # The query is left out: tokens may stand in it.
        method, path = asking.method, quote(asking.path)
        fields: dict[str, Any] = {
            "method": method,
            "path": path,
            "status": status,
            "seconds": round(seconds, 6),
            "client": asking.remote_addr,
        }
        logger.info(
            "%s %s %d in %.1f ms for %s",
            *(method, path, status, seconds * 1000, asking.remote_addr),
            extra=about(job_of(asking), **fields),
        )
