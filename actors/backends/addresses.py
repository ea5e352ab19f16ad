"""Addresses that a service gives us: whose they are, and how they are written."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

from yarl import URL

Origin = tuple[str, str | None, int | None]
_AS_IT_IS = "%/:?#[]@!$&'()*+,;=~"  # what is escaped stays as it is


def origin(address: str) -> Origin:
    """Return scheme, host and port: in lower case, and with the scheme's default port.

    The user is no part of it. Raises ValueError if there is no such address.
    """
    url = URL(address)
    host = url.raw_host
    return url.scheme, host and host.removesuffix("."), url.port


def path_of(address: str) -> str:
    """Return path and query, escaped where that is missing, as browsers do it.

    A Location may have bytes that are not UTF-8; they are escaped as they are.
    """
    parts = urlsplit(address)
    path = parts.path or "/"
    whole = f"{path}?{parts.query}" if parts.query else path
    return quote(whole, safe=_AS_IT_IS, errors="surrogateescape")


def joined(base: str, address: str) -> str:
    """Return an address that may be relative to `base`; raises ValueError."""
    return urljoin(base, address.strip())
