"""Tokens of services that want a login, shared by all processes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from redis.exceptions import RedisError

from .keys import login_key
from .redis import AnyRedis, connect

# With a token there is nothing to do.
_TAKE_TURN = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
return redis.call('SET', KEYS[2], 1, 'NX', 'PX', ARGV[1]) and 1 or 0
"""
# Another process may have put a newer one there.
_FORGET = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1], KEYS[2]) end
"""

logger = logging.getLogger(__name__)


class Shelved(NamedTuple):
    """A token, and for how long it may be used from now on."""

    token: Mapping[str, Any]
    lasts_s: float


class TokenShelf:
    """The token of one service, under the key prefix.

    Without Redis each process logs in for itself.
    """

    def __init__(self, redis_url: str, prefix: str, backend: str) -> None:
        self._url = redis_url
        self._key = login_key(prefix, backend)
        self._redis: AnyRedis | None = None

    async def get(self) -> Shelved | None:
        try:
            async with self._client().pipeline() as pipe:
                pipe.get(self._key)
                pipe.pttl(self._key)
                found, left_ms = await pipe.execute()
        except RedisError as error:
            _warn(error)
            return None
        return Shelved(msgspec.json.decode(found), left_ms / 1000) if found else None

    async def put(self, token: Mapping[str, Any], lasts_s: int) -> None:
        """Keep a token for so long; whose turn it was has had it."""
        try:
            async with self._client().pipeline() as pipe:
                pipe.set(self._key, _encoded(token), ex=lasts_s)
                pipe.delete(self._turn)
                await pipe.execute()
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

    async def is_my_turn(self, for_s: float) -> bool:
        """True for one process in so many seconds, if there is no token."""
        arguments = self._key, self._turn, int(for_s * 1000)
        try:
            won = await self._client().execute_command(
                "EVAL", _TAKE_TURN, 2, *arguments
            )
            return bool(won)
        except RedisError as error:
            _warn(error)
            return True

    async def end_turn(self) -> None:
        """Let another process log in."""
        try:
            await self._client().delete(self._turn)
        except RedisError as error:
            _warn(error)

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    @property
    def _turn(self) -> str:
        return f"{self._key}:turn"

    def _client(self) -> AnyRedis:
        """A client, made on the loop that uses it."""
        if self._redis is None:
            self._redis = connect(self._url)
        return self._redis


def _encoded(token: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(dict(token), order="deterministic")


def _warn(error: RedisError) -> None:
    logger.warning("A login cannot be shared, for Redis is away: %s.", error)
