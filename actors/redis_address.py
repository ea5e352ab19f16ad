"""Where Redis is: one server, the master that Sentinels name, or a Cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from redis.connection import parse_url

SENTINEL_PORT = 26379
CLUSTER_PORT = 6379
_KINDS: dict[str, Literal["one", "sentinel", "cluster"]] = {
    "redis": "one",
    "rediss": "one",
    "unix": "one",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address in parts. `options` are as redis-py takes them, with the password.

    `hosts` are those of Sentinels, which know the master of `service`, or of some nodes
    of a Cluster.
    """

    kind: Literal["one", "sentinel", "cluster"]
    url: str = field(repr=False)
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Read an address; raises ValueError with a sentence that repeats no part."""
        parts = urlsplit(url)
        kind = _KINDS.get(parts.scheme)
        if kind is None:
            raise ValueError(
                "must be an address that begins with redis://, rediss://, unix://, "
                "redis+sentinel:// or redis+cluster://"
            )
        if kind == "one":
            _parsed(url)
            return cls(kind, url)
        path = [unquote(each) for each in parts.path.split("/")[1:] if each]
        options = _options(parts)
        if kind == "cluster":
            if path:
                raise ValueError("must end after the hosts: a Cluster has no databases")
            return cls(kind, url, _hosts(parts, CLUSTER_PORT), options=options)
        if not 1 <= len(path) <= 2 or not (path[1:] or ["0"])[0].isdigit():
            raise ValueError("must end with the name of the master, and /db if not 0")
        options["db"] = int((path[1:] or ["0"])[0])
        return cls(kind, url, _hosts(parts, SENTINEL_PORT), path[0], options)

    @property
    def shown(self) -> str:
        """The address without user, password and options."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _parsed(url: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = parse_url(url)
        return found
    except ValueError:
        # Its message may repeat a password.
        raise ValueError("must be an address like redis://host:6379/0") from None


def _options(parts: SplitResult) -> dict[str, Any]:
    """The user, the password and the options, as redis-py reads them of one server."""
    named = parts.netloc.rpartition("@")
    scheme = parts.scheme.partition("+")[0]
    found = _parsed(f"{scheme}://{named[0]}{named[1]}host?{parts.query}")
    del found["host"]
    is_tls = found.pop("connection_class", None) is not None
    for name in found:
        if name not in ("username", "password") and not name.startswith("ssl_"):
            raise ValueError(f"has an option {name} that is not known here")
    return {**found, "ssl": True} if is_tls else found


def _hosts(parts: SplitResult, default_port: int) -> tuple[tuple[str, int], ...]:
    named = parts.netloc.rpartition("@")[2].split(",")
    return tuple(_host(each, default_port) for each in named)


def _host(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text.strip()}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise ValueError("must have host:port, separated by commas")
    return host, port or default_port
