"""Visitors: a request is known by a bearer token or by a signed cookie."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeSerializer
from quart import Request, Response, Websocket

from actors import SettingError, Settings, owner_of_token
from web.http.problems import Problem

COOKIE = "progrock"
COOKIE_AGE_S = 365 * 86400


@dataclass(frozen=True, slots=True)
class Visitor:
    """One visitor. `owner` is the key under which the jobs are theirs."""

    owner: str
    new_cookie: str | None = None


class Visitors:
    """Knows visitors by token or cookie."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = settings.api_tokens
        self._serializer = URLSafeSerializer(_secret(settings), salt="visitor")

    def visitor(self, asking: Request | Websocket) -> Visitor:
        """Return the visitor of a request; without token or cookie a new one.

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

    def welcome(self, response: Response, visitor: Visitor) -> None:
        """Give a new visitor the cookie."""
        if visitor.new_cookie:
            response.headers.add("Set-Cookie", visitor.new_cookie)

    def _bearer(self, given: str) -> Visitor:
        for token, name in self._tokens.items():
            if hmac.compare_digest(token.encode(), given.encode()):
                return Visitor(owner_of_token(name))
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


def _is_secure(asking: Request | Websocket) -> bool:
    """True if the browser came by https; a client that fakes it harms only itself."""
    proto = asking.headers.get("X-Forwarded-Proto", asking.scheme)
    return proto.rpartition(",")[2].strip() in ("https", "wss")
