"""The proxy that the environment names for a third party, as for other programs."""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

from yarl import URL

from actors.recipes.web_address import is_on_this_machine
from actors.settings import SettingError


def proxy_for(url: str) -> URL | None:
    """Return what HTTP_PROXY, HTTPS_PROXY and NO_PROXY say; None if there is none.

    As in Go, no proxy is asked for this machine itself. Raises SettingError if it
    is not a proxy for HTTP, as with SOCKS.
    """
    target = URL(url)
    named = getproxies().get(target.scheme)
    if not named or is_on_this_machine(target.host or ""):
        return None
    if proxy_bypass(f"{target.host}:{target.port}"):
        return None
    proxy = URL(named if "://" in named else f"http://{named}")
    if proxy.scheme not in ("http", "https") or not proxy.host:
        name = f"{target.scheme}_proxy".upper()
        raise SettingError(f"{name} must be an address that begins with http://.")
    return proxy
