"""The HTTP session to one third party, with limits on its answers.

Redirects are not followed and nothing outside its origin is asked: a third party cannot
send us to somebody else's server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from actors.recipes.calls import Every, Outgoing
from actors.recipes.format import Recipe
from actors.recipes.parts import RequestLine, UnfitError
from actors.recipes.tables import Login
from actors.recipes.template import Values
from actors.report import NOTHING

from . import BackendError
from .addresses import joined, origin, path_of
from .answer import File, HttpAnswer, read
from .failures import Failures, no_ref
from .login import session
from .oauth2 import ask_for_token
from .plain import PlainGets
from .sessions import Sessions
from .shelves import OwnShelf, Shelf, Token


class Client:
    """An HTTP client like aiohttp's, bound to the server that a recipe names.

    `on_answer` is called with each answer, as it came. `calls_made` counts requests.
    """

    def __init__(
        self,
        recipe: Recipe,
        on_answer: Callable[[HttpAnswer], None] | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        self._recipe = recipe
        self._on_answer = on_answer
        self._login = session(recipe, shelf or OwnShelf(), self._log_in)
        self._base = recipe.url.rstrip("/")
        parts = urlsplit(self._base)
        self._root = f"{parts.scheme}://{parts.netloc}"
        self._origins = {origin(each) for each in (recipe.url, *recipe.also_known_as)}
        self._sessions = Sessions(recipe)
        self._get = lru_cache(maxsize=4096)(self._make_get)
        self._failures = Failures(recipe.title)
        self.calls_made = 0

    async def ask(self, call: Every, values: Values) -> HttpAnswer:
        """Send a request and read the answer; raises a transient BackendError."""
        return await self._send(call, values, {})

    async def ask_plainly(self, request: RequestLine, ref: str) -> HttpAnswer:
        """The same for a call that is only a path with a ref, as nearly every poll."""
        with self._failures:
            if request.method == "GET" and (gets := self._sessions.gets):
                self.calls_made += 1
                return self._heard(await gets.get(self._get(gets, request, ref)))
            async with self._connected().request(
                request.method, self._url(request, ref), allow_redirects=False
            ) as response:
                return self._heard(await self._answer(response))

    async def start(self, call: Every, values: Values, *, is_once: bool) -> HttpAnswer:
        """Send a start; if it may be sent only once, on a connection of its own.

        A kept connection may be closed by the service just then; nobody could say
        whether the start was heard.
        """
        key = {"Idempotency-Key": values.job}
        return await self._send(call, values, key, is_once=is_once)

    @asynccontextmanager
    async def open(
        self, call: Every, values: Values, content_type: str
    ) -> AsyncIterator[File]:
        """Open a file, however large and slow; raises a transient BackendError."""
        if self._login is not None:
            values = values._replace(login=await self._login.token())
        with self._failures:
            async with self._opened(call, values) as response:
                newer = await self._newer(response, values.login)
                if newer is None:
                    yield self._file(call, response, content_type)
                    return
            async with self._opened(call, values._replace(login=newer)) as response:
                yield self._file(call, response, content_type)

    def own_path(self, call: Every, values: Values, location: str) -> str:
        """Return the path of an address that was answered to `call`, escaped.

        Raises a permanent BackendError if it leads to another server.
        """
        try:
            asked = self._absolute(call, self._filled(call, values).path)
            target = joined(str(asked), location)
            is_ours = origin(target) in self._origins
        except ValueError as error:
            raise no_ref(self._recipe.title) from error
        if not is_ours:
            raise BackendError(
                "foreign_location",
                f"{self._recipe.title} put the job on another server.",
                permanent=True,
            )
        return path_of(target)

    async def close(self) -> None:
        """Close every connection."""
        await self._sessions.close()
        if self._login is not None:
            await self._login.close()

    async def _send(
        self,
        call: Every,
        values: Values,
        headers: Mapping[str, str],
        *,
        is_once: bool = False,
    ) -> HttpAnswer:
        async def told(values: Values) -> HttpAnswer:
            answer = await self._exchange(call, values, headers, is_once=is_once)
            return self._heard(answer)

        if self._login is None:
            return await told(values)
        token = await self._login.token()
        answer = await told(values._replace(login=token))
        if not self._login.is_refused(answer):
            return answer
        newer = await self._login.renewed(token, answer)
        if newer is None:
            return answer
        # It was refused, so not even a start was begun.
        answer = await told(values._replace(login=newer))
        if self._login.is_refused(answer):
            self._login.refused_too(newer)
        return answer

    def _opened(
        self, call: Every, values: Values
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        request = self._filled(call, values)
        idle_s = self._recipe.timeout_s
        return self._connected().request(
            request.method,
            self._absolute(call, request.path),
            headers=request.headers,
            data=request.body,
            timeout=aiohttp.ClientTimeout(sock_connect=idle_s, sock_read=idle_s),
            allow_redirects=False,
        )

    async def _newer(self, answer: aiohttp.ClientResponse, old: Token) -> Token | None:
        """Return a newer token, if a download was refused for the one it had."""
        if self._login is None or not self._login.is_refused(answer):
            return None
        return await self._login.renewed(
            old, self._heard(await self._answer(answer, old))
        )

    def _file(
        self, call: Every, response: aiohttp.ClientResponse, content_type: str
    ) -> File:
        status = response.status
        if status != 200 and status not in call.accept:
            said = f"{self._recipe.title} does not give the file ({status})."
            raise BackendError(f"http_{status}", said)
        return File(content_type, response)

    async def _log_in(self, call: Login, values: Values) -> HttpAnswer:
        """Send the login; `on_answer` does not see its answer, which has the token."""
        if call.oauth2:
            self.calls_made += 1
            with Failures(f"The login at {self._recipe.title}"):
                return await ask_for_token(call.oauth2, self._recipe.timeout_s)
        return await self._exchange(call, values, {})

    async def _exchange(
        self,
        call: Every,
        values: Values,
        headers: Mapping[str, str],
        *,
        is_once: bool = False,
    ) -> HttpAnswer:
        request = self._filled(call, values)
        with self._failures:
            async with self._connected(is_once).request(
                request.method,
                self._absolute(call, request.path),
                headers={**headers, **request.headers},
                data=request.body,
                allow_redirects=False,
            ) as response:
                return await self._answer(response, values.login)

    async def _answer(
        self, response: aiohttp.ClientResponse, token: Mapping[str, Any] = NOTHING
    ) -> HttpAnswer:
        body = await read(response, response.content)
        answer = HttpAnswer(response.status, response.headers, body)
        if self._login is not None:
            answer = self._login.without_token(answer, token)
        return answer

    def _heard(self, answer: HttpAnswer) -> HttpAnswer:
        if self._on_answer:
            self._on_answer(answer)
        return answer

    def _filled(self, call: Every, values: Values) -> Outgoing:
        try:
            return call.fill(values)
        except UnfitError as error:
            raise BackendError("unfit", str(error), permanent=True) from error

    def _connected(self, is_once: bool = False) -> aiohttp.ClientSession:
        self.calls_made += 1
        return self._sessions.once if is_once else self._sessions.kept_alive

    def _make_get(self, gets: PlainGets, request: RequestLine, ref: str) -> bytes:
        return gets.request(self._url(request, ref).raw_path_qs)

    def _url(self, request: RequestLine, ref: str | int) -> URL:
        root = self._root if request.takes_address else self._base
        try:
            return URL(root + request.fill(Values(ref)), encoded=True)
        except UnfitError as error:
            raise BackendError("unfit", str(error), permanent=True) from error

    def _absolute(self, call: Every, path: str) -> URL:
        takes_address = call.request is not None and call.request.takes_address
        return URL((self._root if takes_address else self._base) + path, encoded=True)
