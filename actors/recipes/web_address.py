"""Which texts are addresses of the web, and which of them are safe with a secret."""

from __future__ import annotations

from ipaddress import ip_address

from yarl import URL


def may_have_secret(text: str) -> bool:
    """True if nobody on the way can read a secret that is sent to this address."""
    if not is_web_address(text):
        return False
    url = URL(text)
    is_safe = url.scheme == "https" or is_on_this_machine(url.host or "")
    return is_safe and url.user is None and url.password is None


def is_on_this_machine(host: str) -> bool:
    """True for a host that no other machine answers for."""
    try:
        return ip_address(host).is_loopback
    except ValueError:  # it is a name
        return host == "localhost" or host.endswith(".localhost")


def is_web_address(text: str) -> bool:
    """True for an http or https address with a host."""
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.host)
