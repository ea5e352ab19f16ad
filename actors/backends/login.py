"""Keeps the login at a service current: one token for all, renewed in time."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec

from actors.recipes.format import Recipe
from actors.recipes.tables import Login
from actors.recipes.template import Values
from actors.store.tokens import Shelved

from . import BackendError
from .answer import HttpAnswer
from .documents import retry_after
from .facts import with_facts
from .found import find
from .oauth2 import lasts_s, token_in, without
from .shelves import Shelf, Token

LOOK_AGAIN_S = 30  # for a token that another process has renewed
MAX_PAUSE_S = 60  # between logins that are refused
MAX_AWAY_PAUSE_S = 5  # between logins that get no answer
USELESS_PAUSE_S = 5  # between logins whose tokens are refused at once
OTHERS_TURN_S = 5  # to wait for the login of another process
REFUSED = "login_refused"
_LATER = (408, 425, 429)

logger = logging.getLogger(__name__)


class Session:
    """The login at one service; `exchange` sends a call and returns the answer."""

    def __init__(
        self,
        recipe: Recipe,
        rule: Login,
        shelf: Shelf,
        exchange: Callable[[Login, Values], Awaitable[HttpAnswer]],
    ) -> None:
        self._title = recipe.title
        self._turn_s = recipe.timeout_s + 1  # a login is over by then
        self._rule = rule
        self._shelf = shelf
        self._exchange = exchange
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._look_again_at = 0.0
        self._failures = 0
        self._not_before = 0.0
        self._error: BackendError | None = None
        self._useless: Token | None = None
        self._renews_at = 0.0

    async def token(self) -> Token:
        """Return the token, after a login if there is none; raises BackendError."""
        if self._token is not None and time.monotonic() < self._look_again_at:
            return self._token
        async with self._lock:
            return self._keep(await self._shelf.get() or await self._log_in())

    async def close(self) -> None:
        """Close the way to the other processes."""
        await self._shelf.close()

    def is_refused(self, answer: HttpAnswer | aiohttp.ClientResponse) -> bool:
        """True if an answer says that the token is no longer good."""
        return answer.status in self._rule.again_on

    async def renewed(self, used: Token, answer: HttpAnswer) -> Token | None:
        """Return a newer token than `used`; None if there is none to be had.

        `answer` is the one that refused it. Raises BackendError.
        """
        async with self._lock:
            shared = await self._shelf.get()
            if shared is not None and shared.token != used:
                return self._keep(shared)
            if used == self._useless and time.monotonic() < self._renews_at:
                return None
            await self._shelf.forget(used)
            if self._rule.can_be_asked:
                return self._keep(await self._log_in())
            token = self._read(answer)
            if token is None or token == used:
                return None
            return self._keep(await self._shelved(token, self._rule.lasts_s))

    def refused_too(self, token: Token) -> None:
        """A token that was just given is refused: a login for each call helps nobody.

        A service may refuse a call in this way, whatever the token.
        """
        if token != self._useless:
            self._useless, self._renews_at = token, time.monotonic() + USELESS_PAUSE_S
            logger.warning("%s refuses a new token, too.", self._title)

    def without_token(self, answer: HttpAnswer, used: Token) -> HttpAnswer:
        """Return an answer that does not repeat a token that nobody else may see."""
        return without(answer, used["token"]) if self._rule.oauth2 and used else answer

    def _keep(self, known: Shelved) -> Token:
        self._token = known.token
        self._look_again_at = time.monotonic() + min(known.lasts_s, LOOK_AGAIN_S)
        return known.token

    async def _shelved(self, token: Token, lasts_s: int) -> Shelved:
        await self._shelf.put(token, lasts_s)
        return Shelved(token, lasts_s)

    async def _log_in(self) -> Shelved:
        """Return a token of this process or of another; raises BackendError.

        No such error ends a job, and none means that a start may have been heard.
        """
        if not self._rule.can_be_asked:
            return Shelved({}, LOOK_AGAIN_S)
        if self._error and time.monotonic() < self._not_before:
            raise self._error
        try:
            return await self._shared() or await self._in_turn()
        except BackendError as error:
            self._error = BackendError(error.code, error.message)
            self._pause(error)
            raise self._error from error

    async def _in_turn(self) -> Shelved:
        try:
            return await self._own()
        except BackendError:
            await self._shelf.end_turn()
            raise

    async def _own(self) -> Shelved:
        answer = await self._exchange(self._rule, Values())
        token = self._read(answer) if self._rule.accepts(answer.status) else None
        if token is None:
            raise self._failed(answer)
        self._failures = 0
        at_most_s = self._rule.lasts_s
        lasts = lasts_s(answer, at_most_s) if self._rule.oauth2 else at_most_s
        return await self._shelved(token, lasts)

    async def _shared(self) -> Shelved | None:
        """The token of another process that logs in; None if it is our turn."""
        deadline = time.monotonic() + OTHERS_TURN_S
        while not await self._shelf.is_my_turn(self._turn_s):
            if known := await self._shelf.get():
                return known
            if time.monotonic() > deadline:
                message = f"The login at {self._title} takes too long."
                raise BackendError("timeout", message)
            await asyncio.sleep(0.1)
        return None

    def _read(self, answer: HttpAnswer) -> Token | None:
        """The token that an answer gives; None unless all of it is there."""
        if self._rule.oauth2:
            return token_in(answer)
        said = with_facts(answer)
        token = {
            name: _first_pair(find(where, answer, said), where.header)
            for name, where in self._rule.keep.items()
        }
        is_whole = all(
            each is not None and _is_one_line(each) for each in token.values()
        )
        return token if is_whole else None

    def _pause(self, error: BackendError) -> None:
        """Until the next try, all calls fail at once."""
        self._failures += 1
        is_refused = error.code == REFUSED
        longest_s = MAX_PAUSE_S if is_refused else MAX_AWAY_PAUSE_S
        pause_s = min(2**self._failures, longest_s) * random.uniform(0.5, 1)
        pause_s = max(pause_s, min(error.retry_after_s or 0, MAX_PAUSE_S))
        self._not_before = time.monotonic() + pause_s
        logger.log(
            logging.ERROR if is_refused else logging.WARNING,
            "%s The next try is in %.0f s.",
            *(error.message, pause_s),
        )

    def _failed(self, answer: HttpAnswer) -> BackendError:
        status = answer.status
        if status < 500 and status not in _LATER:
            return self._refused(status)
        return BackendError(
            f"http_{status}",
            f"The login at {self._title} does not work ({status}).",
            retry_after_s=retry_after(answer.headers.get("Retry-After")),
        )

    def _refused(self, status: int) -> BackendError:
        return BackendError(REFUSED, f"{self._title} refused our login ({status}).")


def session(
    recipe: Recipe,
    shelf: Shelf,
    exchange: Callable[[Login, Values], Awaitable[HttpAnswer]],
) -> Session | None:
    """Return the login at a service, if its recipe has one."""
    return Session(recipe, recipe.login, shelf, exchange) if recipe.login else None


def _is_one_line(value: Any) -> bool:
    return not isinstance(value, str) or value.isprintable()


def _first_pair(value: Any, header: str | None) -> Any:
    """Of a cookie, its name and value; anything else as it is."""
    if header and header.lower() == "set-cookie" and isinstance(value, str):
        return value.partition(";")[0]
    return value


def whose(recipe: Recipe) -> str:
    """A short name of where a token comes from, and where it is sent.

    A recipe may be written anew for another service; that gets no token of the old one.
    """
    rule = recipe.login
    assert rule is not None
    told = [recipe.url, rule.request and rule.request.fill(Values())]
    if rule.oauth2:
        ours = rule.oauth2
        told += [ours.url, ours.client_id, ours.scope, ours.audience]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:12]
