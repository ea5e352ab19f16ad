"""The jobs that run at each backend, for people to adopt one."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

from actors import Adoptable, Backend, BackendError
from web.server.limits import LISTING_LASTS_S, MAX_LISTING_S

Told = list[Adoptable] | BackendError


class Listings:
    """Asks each backend at most once in some seconds, however many people ask us."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._told: dict[str, tuple[float, Told]] = {}

    async def of(self, backend: Backend) -> list[Adoptable]:
        """Return the jobs at a backend; raises BackendError."""
        async with self._locks[backend.name]:
            asked_at, told = self._told.get(backend.name, (0.0, []))
            if time.monotonic() - asked_at > LISTING_LASTS_S:
                told = await _ask(backend)
                self._told[backend.name] = time.monotonic(), told
        if isinstance(told, BackendError):
            raise BackendError(told.code, told.message)
        return told


async def _ask(backend: Backend) -> Told:
    try:
        async with asyncio.timeout(MAX_LISTING_S):
            return await backend.adoptable()
    except TimeoutError:
        return BackendError("timeout", f"{backend.title} takes too long.")
    except BackendError as error:
        return error
