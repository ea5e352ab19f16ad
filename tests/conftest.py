"""Shared by tests: a Redis of their own, a clean store, and the whole stack."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import replace

import hypothesis
import pytest
import redis
from quart import Quart
from quart.testing import QuartClient

from actors import Settings, Store
from actors.store.redis import connect
from dev.processes import Stack, running
from dev.redis import embedded
from web import create_app

from .support.jobs import TOKENS

pytest_plugins = ["tests.support.kitchen", "tests.support.oven"]

Serving = Callable[..., AbstractAsyncContextManager[Quart]]

CI = "CI" in os.environ
_ours = ExitStack()


def missing(what: str) -> None:
    """Something that a test needs is not there: an error in CI, a skip elsewhere."""
    if CI:
        pytest.fail(f"{what} is missing.")
    pytest.skip(f"{what} is missing.")


def pytest_configure() -> None:
    """Have a Redis, of which the settings in the environment say where it is."""
    os.environ["PROGROCK_ENV"] = "development"
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")
    if not os.environ.get("REDIS_URL"):
        os.environ["REDIS_URL"] = _ours.enter_context(embedded()).url


def pytest_unconfigure() -> None:
    _ours.close()


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Where this run's Redis is; its database 0 is for tests in this process."""
    return os.environ["REDIS_URL"]


@pytest.fixture
def clean_redis(redis_url: str) -> Iterator[redis.Redis]:
    """A client, after all of ours is gone from database 0."""
    with redis.Redis.from_url(redis_url) as client:
        keys = list(client.scan_iter("progrock:*", count=1000))
        if keys:
            client.delete(*keys)
        yield client


@pytest.fixture
async def store(clean_redis: redis.Redis, redis_url: str) -> AsyncIterator[Store]:
    store = Store(connect(redis_url), job_ttl_s=60, poll_interval_ms=200)
    yield store
    await store.close()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """All of ProgRock, as separate processes, for tests that leave it as it was."""
    with embedded() as server, running(server.url, PROGROCK_LIMITS="off") as stack:
        yield stack


@pytest.fixture
def serving(clean_redis: redis.Redis) -> Serving:
    """Serve the app in this process with some settings changed; no worker runs."""

    @asynccontextmanager
    async def serving(**changes: object) -> AsyncIterator[Quart]:
        app = create_app(replace(Settings.read(os.environ), **changes))
        async with app.test_app():
            yield app

    return serving


@pytest.fixture
async def app(serving: Serving) -> AsyncIterator[Quart]:
    """The app as it comes, but known to the tokens in `tests.jobs`."""
    async with serving(api_tokens=TOKENS) as app:
        yield app


@pytest.fixture
def client(app: Quart) -> QuartClient:
    """A browser that has not been here before."""
    return app.test_client()
