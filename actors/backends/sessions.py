"""The HTTP sessions with one third party."""

from __future__ import annotations

from functools import cached_property

import aiohttp
from yarl import URL

from actors.libraries import rely_on
from actors.recipes.format import Recipe

from .connections import Connector
from .plain import PlainGets
from .proxies import proxy_for

CONNECTING_SHARE = 0.8  # of the time for a start

rely_on(aiohttp.ClientSession, "_retry_connection")


class Sessions:
    """Two sessions, each made on the loop that uses it first."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._proxy = proxy_for(recipe.url)
        self._made: list[aiohttp.ClientSession] = []

    @cached_property
    def kept_alive(self) -> aiohttp.ClientSession:
        """Requests that may be repeated, on connections that are kept."""
        timeout = aiohttp.ClientTimeout(total=self._recipe.timeout_s)
        return self._session(Connector(self._recipe.concurrency), timeout)

    @cached_property
    def gets(self) -> PlainGets | None:
        """Plain GETs on the same connections; None if they go through a proxy."""
        if self._proxy:
            return None
        return PlainGets(self.kept_alive, URL(self._recipe.url, encoded=True))

    @cached_property
    def once(self) -> aiohttp.ClientSession:
        """Each request has a connection of its own, and aiohttp sends none again.

        If it is the connection that takes too long, nothing was sent.
        """
        total = self._recipe.timeout_s
        session = self._session(
            aiohttp.TCPConnector(limit=self._recipe.concurrency, force_close=True),
            aiohttp.ClientTimeout(total=total, connect=total * CONNECTING_SHARE),
        )
        session._retry_connection = False
        return session

    async def close(self) -> None:
        """Close every connection."""
        for session in self._made:
            await session.close()

    def _session(
        self, connector: aiohttp.TCPConnector, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=self._proxy,
            headers=self._recipe.headers_of_all,
        )
        self._made.append(session)
        return session
