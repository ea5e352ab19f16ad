"""`progrock doctor`: looks at all that ProgRock needs, by the settings it has."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from redis.exceptions import RedisError

from actors.backends import BackendError
from actors.backends.failures import Failures
from actors.backends.offered import Offer, offered
from actors.backends.registry import Backends
from actors.backends.sessions import Sessions
from actors.recipes.format import PythonRecipe
from actors.redis_address import RedisAddress
from actors.settings import SettingError, Settings
from actors.store import Store
from actors.store.keys import Keys
from actors.store.redis import server_of
from actors.store.tags import own_tags

from .checks import Check, State, redis_checks
from .output import Output
from .secrets import Mask

ILL, WRONG_USE = 1, 2
COLOURS = {
    State.WELL: "green",
    State.CARE: "yellow",
    State.ILL: "red",
    State.UNKNOWN: "dim",
}
EXAMPLES = """It reads the same variables as web and worker, so run it where they run.
It ends with 0 if nothing is ill, with 1 if something is, and with 2 if a setting makes
no sense.

examples:
  progrock doctor
  heroku run python -m command doctor
"""


def add(commands: Any) -> None:
    """Add the subcommand to argparse's subparsers."""
    doctor = commands.add_parser(
        "doctor",
        help="look at Redis, recipes, services and workers",
        description="Look at all that ProgRock needs: settings, Redis, the broker, "
        "recipes, the services behind them, and workers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doctor.set_defaults(run=_doctor)


def _doctor(_: argparse.Namespace) -> int:
    output = Output(sys.stdout, _mask(os.environ))
    try:
        settings = Settings.read(os.environ)
        offers = offered(settings)
        Backends.read(settings)
    except SettingError as error:
        output.mistake(str(error))
        return WRONG_USE
    checks = asyncio.run(_checks(settings, offers))
    output.rows(
        "check", [(each.state, COLOURS[each.state], *each[::2]) for each in checks]
    )
    return ILL if any(each.state is State.ILL for each in checks) else 0


async def _checks(settings: Settings, offers: Mapping[str, Offer]) -> list[Check]:
    found = [
        Check("recipes", State.WELL, f"{', '.join(offers)}."),
        *_secret(settings),
        *await _redis(settings),
    ]
    found += [await _backend(name, offer) for name, offer in offers.items()]
    return [*found, *[each async for each in _work(settings)]]


def _secret(settings: Settings) -> list[Check]:
    if settings.secret_key or settings.development:
        return []
    said = "SECRET_KEY is missing: the web process does not start without one."
    return [Check("settings", State.CARE, said)]


async def _redis(settings: Settings) -> list[Check]:
    is_cluster = RedisAddress.parse(settings.redis_url).kind == "cluster"
    first, *_ = own_tags(settings.partitions, is_cluster=is_cluster)
    keys = Keys.of(settings.key_prefix, first)
    found = await _of("Redis", settings.redis_url, keys)
    if settings.broker_url == settings.redis_url:
        return [*found, Check("broker", State.WELL, "It is the same Redis.")]
    return [*found, *await _of("broker", settings.broker_url, keys)]


async def _of(title: str, url: str, keys: Keys) -> list[Check]:
    try:
        redis = await server_of(url, keys.worker)
    except (TypeError, ValueError) as error:
        return [Check(title, State.ILL, f"Its address makes no sense: {error}.")]
    except RedisError as error:
        return [Check(title, State.ILL, f"It cannot be found: {error}.")]
    try:
        return await redis_checks(title, redis, keys)
    finally:
        await redis.aclose()


async def _backend(name: str, offer: Offer) -> Check:
    """Ask for the address of a service; whatever it answers, it is there."""
    what, recipe = f"backend {name}", offer.recipe
    if isinstance(recipe, PythonRecipe):
        return Check(what, State.UNKNOWN, "A class in Python; it was not asked.")
    sessions = Sessions(recipe)
    began = time.perf_counter()
    try:
        with Failures(recipe.title):
            async with sessions.kept_alive.get(
                recipe.url, allow_redirects=False
            ) as answer:
                ms = (time.perf_counter() - began) * 1000
                said = f"It answers ({answer.status}) in {ms:.0f} ms."
                return Check(what, State.WELL, said)
    except BackendError as error:
        cause = error.__cause__
        why = f" {cause}" if isinstance(cause, aiohttp.ClientError) else ""
        return Check(what, State.ILL, f"{error}{why}")
    finally:
        await sessions.close()


async def _work(settings: Settings) -> AsyncIterator[Check]:
    """Workers, and the jobs that they have."""
    store = Store.open(settings)
    try:
        if await store.has_worker():
            yield Check("workers", State.WELL, "One was here in the last 5 s.")
        else:
            said = "None is here, so no job moves; start `dramatiq actors`."
            yield Check("workers", State.ILL, said)
        counts = await store.census.taken()
        said = ", ".join(f"{n} {status} at {name}" for name, status, n in counts)
        yield Check("jobs", State.WELL, f"{said or 'None is unfinished'}.")
    except (RedisError, OSError):
        yield Check("workers", State.UNKNOWN, "Redis would have to say so.")
    finally:
        await store.close()


def _mask(environ: Mapping[str, str]) -> Mask:
    names = [name for name in ("REDIS_URL", "BROKER_URL") if environ.get(name)]
    return Mask.hiding({name: environ[name] for name in names})
