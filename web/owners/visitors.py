"""Who is asking, and what they may see: a token's name or a signed cookie's visitor."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeSerializer
from quart import Request, Response, Websocket

from actors.settings import SettingError, Settings
from web.http.problems import Problem

COOKIE = "progrock"
COOKIE_AGE_S = 365 * 86400


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever asks. `owner` is the key under which the jobs are theirs."""

    owner: str
    new_cookie: str | None = None


class Access:
    """Knows visitors by token or cookie, and pages by origin."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = settings.api_tokens
        self._origins = settings.allowed_origins
        self._serializer = URLSafeSerializer(_secret(settings), salt="visitor")

    def visitor(self, asking: Request | Websocket) -> Visitor:
        """Return who asks; without token or cookie a new visitor.

        Raises a 401 Problem for a token that nobody has.
        """
        kind, _, token = asking.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._bearer(token.strip())
        cookie = asking.cookies.get(COOKIE)
        try:
            return Visitor(f"visitor-{self._serializer.loads(cookie or '')}")
        except BadSignature:
            name = secrets.token_urlsafe(16)
            return Visitor(f"visitor-{name}", self._cookie(name, _is_secure(asking)))

    def check_origin(self, asking: Request | Websocket) -> None:
        """Raises a 403 Problem where a foreign page asks."""
        origin = asking.headers.get("Origin")
        if origin and not self.allows(origin, asking.host):
            raise Problem(403, "foreign_origin", "Another site's page may not do this.")

    def allows(self, origin: str, host: str) -> bool:
        """Whether pages of `origin` may use this server, known to them as `host`."""
        return origin in self._origins or _host_of(origin) == host

    def share(self, asking: Request, response: Response) -> None:
        """Let a page of an allowed origin read the answer (CORS)."""
        origin = asking.headers.get("Origin")
        if origin not in self._origins:
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

    def welcome(self, response: Response, visitor: Visitor) -> None:
        """Give a new visitor the cookie."""
        if visitor.new_cookie:
            response.headers.add("Set-Cookie", visitor.new_cookie)

    def _bearer(self, given: str) -> Visitor:
        for token, name in self._tokens.items():
            if hmac.compare_digest(token.encode(), given.encode()):
                return Visitor(f"token-{name}")
        raise Problem(401, "bad_token", "This token is not known here.")

    def _cookie(self, name: str, secure: bool) -> str:
        value = self._serializer.dumps(name)
        assert isinstance(value, str)
        return (
            f"{COOKIE}={value}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; "
            f"SameSite=Lax{'; Secure' if secure else ''}"
        )


def _secret(settings: Settings) -> str:
    """The key that signs; made up for the run in development."""
    if not (settings.secret_key or settings.development):
        raise SettingError("SECRET_KEY is missing: give it a long random text.")
    return settings.secret_key or secrets.token_urlsafe(32)


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # "http://[", which is nobody's
        return None


def _is_secure(asking: Request | Websocket) -> bool:
    """Whether the browser came by https; whoever fakes the header harms themselves."""
    proto = asking.headers.get("X-Forwarded-Proto", asking.scheme)
    return proto.rpartition(",")[2].strip() in ("https", "wss")
