"""Calls of Redis whose connection is dead without a sign, or whose Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.redis_address import RedisAddress
from actors.store import Store
from actors.store.redis import CALL_S, MAX_CONNECTIONS, connect, executed
from dev.redis import embedded, free_port

CALLS = 20


class Forgetful:
    """A TCP proxy that can forget its connections: it drops all that they say."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self.port = 0
        self.opened = 0
        self._forgotten = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def forget(self) -> None:
        """All connections up to now are dead from now on."""
        self._forgotten = self.opened

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.opened += 1
        number = self.opened
        far_reader, far_writer = await asyncio.open_unix_connection(self._path)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(number, reader, far_writer))
                group.create_task(self._copy(number, far_reader, writer))
        finally:
            writer.close()
            far_writer.close()

    async def _copy(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while part := await reader.read(65536):
            if number > self._forgotten:
                writer.write(part)
        writer.close()


@asynccontextmanager
async def forgetful() -> AsyncIterator[Forgetful]:
    with embedded() as redis:
        path = RedisAddress.parse(redis.url).url.partition("://")[2].partition("?")[0]
        proxy = Forgetful(path)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()


@pytest.mark.parametrize("is_pipeline", [False, True])
@pytest.mark.parametrize("at_once", [1, CALLS])
async def test_connections_that_a_proxy_has_forgotten_make_calls_slow_but_fail_none(
    is_pipeline: bool, at_once: int
) -> None:
    async with forgetful() as proxy:
        redis = connect(f"redis://127.0.0.1:{proxy.port}")
        assert isinstance(redis, Redis)
        slow = "local n = 0; for i = 1, 300000 do n = n + 1 end; return 1"
        await asyncio.gather(
            *(redis.execute_command("EVAL", slow, 0) for _ in range(CALLS))
        )
        assert proxy.opened == MAX_CONNECTIONS
        proxy.forget()

        async def call() -> object:
            if is_pipeline:
                return await executed(redis, lambda pipe: pipe.ping())
            return await redis.ping()

        for _ in range(2):
            assert all(await asyncio.gather(*(call() for _ in range(at_once))))
        await redis.aclose()


async def test_a_cluster_that_is_away_is_an_error_of_redis_in_time() -> None:
    """All that wait for Redis expect its errors."""
    url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
    store = Store(connect(url), job_ttl_s=60, poll_interval_ms=200, partitions=4)
    began = asyncio.get_running_loop().time()

    calls = [store.load("job"), store.ensure(), store.learn_partitions()] * CALLS
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(answer, RedisError)

    assert asyncio.get_running_loop().time() - began < CALL_S + 2
    await store.close()
