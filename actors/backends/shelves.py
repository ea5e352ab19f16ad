"""Where the token of a login is kept: shared by processes, or that of one alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from actors.store.tokens import Shelved

Token = Mapping[str, Any]


class Shelf(Protocol):
    """Where the processes share a token."""

    async def get(self) -> Shelved | None: ...

    async def put(self, token: Token, lasts_s: int) -> None:
        """Keep a token for so long; whose turn it was has had it."""

    async def forget(self, token: Token) -> None:
        """Remove the token, unless there is a newer one."""

    async def is_my_turn(self, for_s: float) -> bool:
        """True for one process in so many seconds, if there is no token.

        That one is to log in.
        """

    async def end_turn(self) -> None:
        """Let another process log in."""

    async def close(self) -> None: ...


class OwnShelf:
    """The token of this process alone."""

    def __init__(self) -> None:
        self._token: Token | None = None
        self._ends_at = 0.0

    async def get(self) -> Shelved | None:
        left_s = self._ends_at - time.monotonic()
        if self._token is None or left_s <= 0:
            return None
        return Shelved(self._token, left_s)

    async def put(self, token: Token, lasts_s: int) -> None:
        self._token, self._ends_at = token, time.monotonic() + lasts_s

    async def forget(self, token: Token) -> None:
        if self._token == token:
            self._token = None

    async def is_my_turn(self, for_s: float) -> bool:
        return True

    async def end_turn(self) -> None:
        pass

    async def close(self) -> None:
        pass
