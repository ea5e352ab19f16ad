"""Serves the numbers of one process at a port of its own.

Prometheus takes a target for one process, whose counts begin anew when it does. So the
processes of a machine take ports one after the other.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from actors.settings import Settings

from .work import LOOP_LAG_S

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

    from .exposition import Census, Exposition

MAX_PROCESSES = 64  # on one machine
ANSWER_S = 5
LAG_EVERY_S = 0.1

logger = logging.getLogger(__name__)


@asynccontextmanager
async def metrics(
    settings: Settings, kind: str, backends: Iterable[str], census: Census
) -> AsyncIterator[Exposition | None]:
    """Serve the numbers of this process, if the settings say so, inside the block.

    None if they are off. If no port can be had, the process goes on without.
    """
    if settings.metrics is None:
        yield None
        return
    from .exposition import Exposition  # and prometheus_client, only if they are used

    exposition = Exposition(kind, backends, census)
    lag = asyncio.create_task(_measure_lag())
    server = await _served(settings, exposition)
    try:
        yield exposition
    finally:
        lag.cancel()
        await asyncio.gather(lag, return_exceptions=True)
        if server:  # which may take half a second to notice
            threading.Thread(target=_close, args=[server], daemon=True).start()


async def _served(settings: Settings, exposition: Exposition) -> WSGIServer | None:
    if settings.metrics == "token":
        return None
    fresh = _Fresh(exposition, asyncio.get_running_loop())
    # In a thread, for Python's server looks up the name of this machine.
    return await asyncio.to_thread(_listen, settings, fresh)


def _listen(settings: Settings, fresh: _Fresh) -> WSGIServer | None:
    from prometheus_client import start_http_server

    assert isinstance(settings.metrics, int)
    host = "127.0.0.1" if settings.development else "0.0.0.0"
    reason = ""
    for port in range(settings.metrics, settings.metrics + MAX_PROCESSES):
        try:
            server, _ = start_http_server(port, host, fresh)
        except (OSError, OverflowError) as error:
            reason = str(error)
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                continue
            break
        logger.info("The metrics of this process are at port %d.", port)
        return server
    logger.error("PROGROCK_METRICS: there are no metrics, no port is free: %s.", reason)
    return None


class _Fresh:
    """Has the jobs counted by the process's event loop before each scrape."""

    def __init__(self, exposition: Exposition, loop: asyncio.AbstractEventLoop) -> None:
        self._exposition = exposition
        self._loop = loop

    def collect(self) -> Iterable[Metric]:
        """Yield all numbers, also if the event loop does not answer."""
        counted = asyncio.run_coroutine_threadsafe(
            self._exposition.count_jobs(), self._loop
        )
        with suppress(TimeoutError):
            counted.result(ANSWER_S)
        return self._exposition.registry.collect()

    def restricted_registry(self, names: Iterable[str]) -> CollectorRegistry:
        """Yield only these, for a scrape that names them."""
        return self._exposition.registry.restricted_registry(names)  # type: ignore[return-value]  # the same protocol


def _close(server: WSGIServer) -> None:
    server.shutdown()
    server.server_close()


async def _measure_lag() -> None:
    clock = asyncio.get_running_loop().time
    spread = LOOP_LAG_S[()]
    while True:
        expected = clock() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        spread.see(clock() - expected)
