"""The HTTP session to one third party, with limits on its answers.

Redirects are not followed and nothing outside its origin is asked: a third party cannot
send us to somebody else's server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
import msgspec
from yarl import URL

from actors.limits import MAX_ANSWER_BYTES
from actors.recipes.format import Recipe, RequestLine

from . import BackendError


class HttpAnswer(NamedTuple):
    """An answer with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class File:
    """A file on its way through us."""

    def __init__(self, content_type: str, response: aiohttp.ClientResponse) -> None:
        self.content_type = content_type
        self.length = response.content_length
        self._response = response

    def chunks(self) -> AsyncIterator[bytes]:
        return self._response.content.iter_chunked(64 * 1024)


class Client:
    """An HTTP client like aiohttp's, bound to the server that a recipe names."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._base = recipe.url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._url = lru_cache(maxsize=4096)(self._make_url)
        self._failures = _Failures(recipe.title)

    async def ask(
        self,
        request: RequestLine,
        ref: str = "",
        *,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send a request and read the answer; raises a transient BackendError."""
        with self._failures:
            async with self._connected().request(
                request.method,
                self._url(request.path, ref),
                json=json,
                headers=headers,
                allow_redirects=False,
            ) as response:
                return HttpAnswer(
                    response.status, response.headers, await _read(response)
                )

    @asynccontextmanager
    async def open(
        self, request: RequestLine, ref: str, content_type: str
    ) -> AsyncIterator[File]:
        """Open a file, however large and slow; raises a transient BackendError."""
        patience = aiohttp.ClientTimeout(
            total=None,
            sock_connect=self._recipe.timeout_s,
            sock_read=self._recipe.timeout_s,
        )
        with self._failures:
            async with self._connected().request(
                request.method,
                self._url(request.path, ref),
                timeout=patience,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise BackendError(
                        f"http_{response.status}",
                        f"{self._recipe.title} does not give the file "
                        f"({response.status}).",
                    )
                yield File(content_type, response)

    def own_path(self, request: RequestLine, location: str) -> str:
        """Return the path of a Location that was answered to `request`.

        Raises a permanent BackendError if it leads to another server.
        """
        asked = str(self._url(request.path, ""))
        try:
            target = urljoin(asked, location)
        except ValueError as error:
            raise BackendError(
                "unexpected_answer",
                f"{self._recipe.title} did not say where the job is.",
                permanent=True,
            ) from error
        if _origin(target) != _origin(asked):
            raise BackendError(
                "foreign_location",
                f"{self._recipe.title} put the job on another server.",
                permanent=True,
            )
        return target.removeprefix(_origin(target))

    async def close(self) -> None:
        """Close every connection."""
        if self._session:
            await self._session.close()

    def _connected(self) -> aiohttp.ClientSession:
        """The one session, made on the loop that uses it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._recipe.concurrency),
                timeout=aiohttp.ClientTimeout(total=self._recipe.timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._recipe.headers,
                json_serialize=lambda value: msgspec.json.encode(value).decode(),
            )
        return self._session

    def _make_url(self, path: str, ref: str) -> URL:
        if path.startswith("{ref}"):
            return URL(_origin(self._base) + path.replace("{ref}", ref), encoded=True)
        return URL(self._base + path.replace("{ref}", quoted(ref)), encoded=True)


class _Failures:
    """Turns a failure of the network into a BackendError."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, TimeoutError):
            raise BackendError("timeout", f"{self._title} takes too long.") from error
        if isinstance(error, aiohttp.ClientError):
            raise BackendError(
                "unreachable", f"{self._title} cannot be reached. Try again later."
            ) from error


def quoted(ref: str) -> str:
    """Return a job's name as a part of a path."""
    return quote(ref, safe="")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            raise BackendError("too_large", "The service answered with far too much.")
    return bytes(body)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
