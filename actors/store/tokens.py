"""Tokens of services that want a login, shared by all processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from .keys import login_key
from .redis import connect

TURN_MS = 5_000  # in which one process logs in, and the others wait

# Another process may have put a newer one there.
_FORGET = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1], KEYS[2]) end
"""

logger = logging.getLogger(__name__)


class TokenShelf:
    """The token of one service, under the key prefix.

    Without Redis each process logs in for itself.
    """

    def __init__(self, redis_url: str, prefix: str, backend: str) -> None:
        self._url = redis_url
        self._key = login_key(prefix, backend)
        self._redis: Redis | None = None

    async def get(self) -> Mapping[str, Any] | None:
        try:
            found = await self._client().get(self._key)
        except RedisError as error:
            _warn(error)
            return None
        token: Mapping[str, Any] | None = msgspec.json.decode(found) if found else None
        return token

    async def put(self, token: Mapping[str, Any], lasts_s: int) -> None:
        try:
            await self._client().set(self._key, _encoded(token), ex=lasts_s)
        except RedisError as error:
            _warn(error)

    async def forget(self, token: Mapping[str, Any]) -> None:
        """Remove the token, unless there is a newer one."""
        keys = self._key, self._turn
        try:
            await self._client().execute_command(
                "EVAL", _FORGET, 2, *keys, _encoded(token)
            )
        except RedisError as error:
            _warn(error)

    async def is_my_turn(self) -> bool:
        """True for one process in some seconds: that one is to log in."""
        try:
            return bool(await self._client().set(self._turn, 1, px=TURN_MS, nx=True))
        except RedisError as error:
            _warn(error)
            return True

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    @property
    def _turn(self) -> str:
        return f"{self._key}:turn"

    def _client(self) -> Redis:
        """A client, made on the loop that uses it."""
        if self._redis is None:
            self._redis = connect(self._url)
        return self._redis


def _encoded(token: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(dict(token), order="deterministic")


def _warn(error: RedisError) -> None:
    logger.warning("A login cannot be shared, for Redis is away: %s.", error)
