"""Keeps the login at a service current: one token for all, renewed in time."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from actors.recipes.format import Recipe
from actors.recipes.tables import Login
from actors.recipes.template import Values

from . import BackendError
from .answer import HttpAnswer
from .facts import with_facts
from .found import find
from .oauth2 import lasts_s, token_in

LOOK_AGAIN_S = 30  # for a token that another process has renewed
MAX_PAUSE_S = 60  # between logins that are refused
OTHERS_TURN_S = 5  # for another process to log in

logger = logging.getLogger(__name__)

Token = Mapping[str, Any]


class Shelf(Protocol):
    """Where the processes share a token."""

    async def get(self) -> Token | None: ...

    async def put(self, token: Token, lasts_s: int) -> None: ...

    async def forget(self, token: Token) -> None:
        """Remove the token, unless there is a newer one."""

    async def is_my_turn(self) -> bool:
        """True for one process in some seconds: that one is to log in."""

    async def close(self) -> None: ...


class OwnShelf:
    """The token of this process alone."""

    def __init__(self) -> None:
        self._token: Token | None = None

    async def get(self) -> Token | None:
        return self._token

    async def put(self, token: Token, lasts_s: int) -> None:
        self._token = token

    async def forget(self, token: Token) -> None:
        if self._token == token:
            self._token = None

    async def is_my_turn(self) -> bool:
        return True

    async def close(self) -> None:
        pass


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
        self._rule = rule
        self._shelf = shelf
        self._exchange = exchange
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._look_again_at = 0.0
        self._refusals = 0
        self._not_before = 0.0

    async def token(self) -> Token:
        """Return the token, after a login if there is none; raises BackendError."""
        if self._token is not None and time.monotonic() < self._look_again_at:
            return self._token
        async with self._lock:
            known = await self._shelf.get()
            if known is None:
                known = await self._log_in()
            return self._keep(known)

    async def close(self) -> None:
        """Close the way to the other processes."""
        await self._shelf.close()

    def is_refused(self, answer: HttpAnswer) -> bool:
        """True if an answer says that the token is no longer good."""
        return answer.status in self._rule.again_on

    async def renewed(self, used: Token, answer: HttpAnswer) -> Token | None:
        """Return a newer token than `used`; None if there is none to be had.

        `answer` is the one that refused it. Raises BackendError.
        """
        async with self._lock:
            await self._shelf.forget(used)
            shared = await self._shelf.get()
            if shared is not None and shared != used:
                return self._keep(shared)
            if self._rule.can_be_asked:
                return self._keep(await self._log_in())
            token = self._read(answer)
            if token is None or token == used:
                return None
            await self._shelf.put(token, self._rule.lasts_s)
            return self._keep(token)

    def _keep(self, token: Token) -> Token:
        self._token = token
        self._look_again_at = time.monotonic() + LOOK_AGAIN_S
        return token

    async def _log_in(self) -> Token:
        if not self._rule.can_be_asked:
            return {}
        if not await self._shelf.is_my_turn():
            others = await self._token_of_others()
            if others is not None:
                return others
        if time.monotonic() < self._not_before:
            raise self._refused()
        answer = await self._exchange(self._rule, Values())
        token = self._read(answer) if self._rule.accepts(answer.status) else None
        if token is None:
            self._pause(answer.status)
            raise self._refused()
        self._refusals, self._not_before = 0, 0.0
        at_most_s = self._rule.lasts_s
        lasts = lasts_s(answer, at_most_s) if self._rule.oauth2 else at_most_s
        await self._shelf.put(token, lasts)
        return token

    async def _token_of_others(self) -> Token | None:
        deadline = time.monotonic() + OTHERS_TURN_S
        while time.monotonic() < deadline:
            token = await self._shelf.get()
            if token is not None:
                return token
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
        return None if None in token.values() else token

    def _pause(self, status: int) -> None:
        self._refusals += 1
        pause_s = min(2**self._refusals, MAX_PAUSE_S) * random.uniform(0.5, 1)
        self._not_before = time.monotonic() + pause_s
        logger.error(
            "%s refused our login (%d); the next try is in %.0f s.",
            *(self._title, status, pause_s),
        )

    def _refused(self) -> BackendError:
        return BackendError("login_refused", f"{self._title} refused our login.")


def _first_pair(value: Any, header: str | None) -> Any:
    """Of a cookie, its name and value; anything else as it is."""
    if header and header.lower() == "set-cookie" and isinstance(value, str):
        return value.partition(";")[0]
    return value
