"""Origins: which other sites' pages may use this server (CORS)."""

from __future__ import annotations

from urllib.parse import urlsplit

from quart import Request, Response, Websocket

from actors import Settings
from web.http.problems import Problem


class Origins:
    """Allows pages of the server's own origin, and of those in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = settings.allowed_origins

    def check(self, asking: Request | Websocket) -> None:
        """Raises a 403 Problem if a foreign page asks."""
        origin = asking.headers.get("Origin")
        if origin and not self.allows(origin, asking.host):
            raise Problem(403, "foreign_origin", "Another site's page may not do this.")

    def allows(self, origin: str, host: str) -> bool:
        """True if pages of `origin` may use this server, known to them as `host`."""
        return origin in self._allowed or _host_of(origin) == host

    def share(self, asking: Request, response: Response) -> None:
        """Let a page of an allowed origin read the answer."""
        origin = asking.headers.get("Origin")
        if origin not in self._allowed:
            return
        response.vary.add("Origin")
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Expose-Headers"] = (
            "Location, Retry-After, ETag"
        )
        if asking.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
            response.headers["Access-Control-Allow-Headers"] = (
                "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
            )
            response.headers["Access-Control-Max-Age"] = "3600"


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # "http://[", which is nobody's
        return None
