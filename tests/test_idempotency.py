"""An Idempotency-Key: the same owner and key give the same job, however often."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import redis
from quart import Quart
from quart.testing import QuartClient as _Client
from werkzeug.datastructures import Headers

from actors import Store

from .conftest import Serving
from .support import jobs
from .support.asking import problem
from .support.jobs import ALICE, BOB, TOKENS

ORDER = {"backend": "counter", "params": {"total": 7, "seconds": 3}}
KEY = {"Idempotency-Key": "one wish"}


async def start(client: _Client, order: Any = ORDER, **headers: str) -> Any:
    return await client.post("/jobs", json=order, headers={**ALICE, **KEY, **headers})


async def started(client: _Client, order: Any = ORDER, **headers: str) -> str:
    response = await start(client, order, **headers)
    assert response.status_code == 202
    job: str = (await response.get_json())["job"]
    assert response.headers["Location"] == f"/jobs/{job}"
    return job


async def how_many(client: _Client, **headers: str) -> int:
    listed = await client.get("/jobs?limit=100", headers=headers or ALICE)
    return len((await listed.get_json())["jobs"])


async def test_the_same_key_gives_the_same_job(client: _Client) -> None:
    assert await started(client) == await started(client)
    assert await how_many(client) == 1


async def test_the_answer_is_the_job_as_it_is_now(
    client: _Client, store: Store
) -> None:
    job = await started(client)
    loaded = await store.load(job)
    assert loaded
    await jobs.end(store, loaded)

    response = await start(client)

    assert (await response.get_json())["status"] == "succeeded"


async def test_fifty_connections_at_once_start_one_job(app: Quart) -> None:
    clients = [app.test_client() for _ in range(50)]

    names = await asyncio.gather(*(started(client) for client in clients))

    assert len(set(names)) == 1
    assert await how_many(clients[0]) == 1


async def test_another_key_gives_another_job(client: _Client) -> None:
    other = {"Idempotency-Key": "another wish"}

    assert await started(client) != await started(client, **other)


async def test_without_a_key_every_start_is_a_new_job(client: _Client) -> None:
    for _ in range(2):
        await client.post("/jobs", json=ORDER, headers=ALICE)

    assert await how_many(client) == 2


async def test_another_owners_key_is_another_key(client: _Client) -> None:
    assert await started(client) != await started(client, **BOB)


@pytest.mark.parametrize(
    "order",
    [
        {"backend": "counter", "params": {"total": 8, "seconds": 3}},
        {"backend": "counter", "params": {"total": 7}},
        {"backend": "counter-bulk", "params": {"total": 7, "seconds": 3}},
    ],
)
async def test_the_same_key_with_another_start_is_refused(
    client: _Client, order: Any
) -> None:
    await started(client)

    said = await problem(await start(client, order), 422)

    assert said["code"] == "key_reused"
    assert await how_many(client) == 1


async def test_the_order_of_the_params_makes_no_difference(client: _Client) -> None:
    turned = {"params": {"seconds": 3, "total": 7}, "backend": "counter"}

    assert await started(client) == await started(client, turned)


async def test_a_repeated_start_is_not_one_too_many(serving: Serving) -> None:
    async with serving(api_tokens=TOKENS, max_active_jobs=1) as app:
        client = app.test_client()

        assert await started(client) == await started(client)


async def test_a_start_that_was_refused_keeps_no_key(serving: Serving) -> None:
    async with serving(api_tokens=TOKENS, max_active_jobs=1) as app:
        client = app.test_client()
        first = await started(client, **{"Idempotency-Key": "first"})
        await problem(await start(client), 429)
        loaded = await app.extensions["jobs"].store.load(first)
        await jobs.end(app.extensions["jobs"].store, loaded)

        assert await started(client) != first


async def test_a_key_counts_for_as_long_as_its_job_is_kept(
    serving: Serving, clean_redis: redis.Redis
) -> None:
    async with serving(api_tokens=TOKENS, job_ttl_s=4711) as app:
        name = await started(app.test_client())
        [key] = clean_redis.keys("progrock:2:start:*")
        assert clean_redis.ttl(key) == -1

        store = app.extensions["jobs"].store
        job = await store.load(name)
        await jobs.end(store, job)

    assert 4700 < clean_redis.ttl(key) <= 4711
    assert clean_redis.ttl(key) == clean_redis.ttl(f"progrock:2:job:{name}")


async def test_a_key_whose_job_is_gone_starts_a_new_one(
    client: _Client, clean_redis: redis.Redis
) -> None:
    job = await started(client)
    clean_redis.delete(f"progrock:2:job:{job}")
    [key] = clean_redis.keys("progrock:2:start:*")
    clean_redis.expire(key, 100)

    assert await started(client) != job
    assert clean_redis.ttl(key) == -1


async def test_two_keys_are_refused(client: _Client) -> None:
    headers = Headers(
        [*ALICE.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )

    response = await client.post("/jobs", json=ORDER, headers=headers)

    assert (await problem(response, 422))["code"] == "bad_key"


async def test_a_key_in_utf_8_is_the_same_on_the_socket(client: _Client) -> None:
    job = await started(client, **{"Idempotency-Key": " été "})
    async with client.websocket("/prog/", headers=ALICE) as socket:
        await socket.receive()
        await socket.send(json.dumps({"action": "start", **ORDER, "key": "été"}))
        async with asyncio.timeout(5):
            assert json.loads(await socket.receive())["job"] == job


@pytest.mark.parametrize("key", ["", " ", "k" * 256])
async def test_a_key_that_is_none_is_refused(client: _Client, key: str) -> None:
    response = await start(client, **{"Idempotency-Key": key})

    assert (await problem(response, 422))["code"] == "bad_key"


async def test_a_key_may_hold_anything_that_a_header_can(client: _Client) -> None:
    odd = {"Idempotency-Key": '"a:b" {c}*\t?'}

    assert await started(client, **odd) == await started(client, **odd)


async def test_the_key_of_a_socket_is_the_same(client: _Client) -> None:
    job = await started(client)
    order = {"action": "start", **ORDER, "key": KEY["Idempotency-Key"]}
    async with client.websocket("/prog/", headers=ALICE) as socket:
        assert json.loads(await socket.receive()) == {"accept": True}
        await socket.send(json.dumps(order))
        async with asyncio.timeout(5):
            told = json.loads(await socket.receive())

        await socket.send(json.dumps({**order, "params": {}}))
        async with asyncio.timeout(5):
            refused = json.loads(await socket.receive())

    assert told["job"] == job
    assert refused["error"]["code"] == "key_reused"
    assert refused["key"] == KEY["Idempotency-Key"]
