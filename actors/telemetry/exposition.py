"""The numbers of a process as Prometheus reads them: at a port, or as a text."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from redis.exceptions import RedisError

from actors.status import TERMINAL, Status

from .tallies import FAMILIES, Level, Spreads, Tally

if TYPE_CHECKING:
    from prometheus_client import Metric

CENSUS_S = 2
JOBS = "progrock_jobs"
PROCESS = "progrock_process"
UNFINISHED = [status.value for status in Status if status not in TERMINAL]

Census = Callable[[], Awaitable[list[tuple[str, str, int]]]]

logger = logging.getLogger(__name__)


class Exposition:
    """All numbers of this process, and how many jobs there are in all."""

    def __init__(self, kind: str, backends: Iterable[str], census: Census) -> None:
        self._kind = kind
        self._backends = tuple(backends)
        self._census = census
        self._jobs: dict[tuple[str, str], int] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    async def text(self, accept: str) -> tuple[bytes, str]:
        """Return all numbers in the format that `accept` wants, and its type."""
        await self.count_jobs()
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    async def count_jobs(self) -> None:
        """Have Redis count the jobs; if it does not answer, nothing is said of them."""
        self._jobs = {}
        try:
            async with asyncio.timeout(CENSUS_S):
                counts = await self._census()
        except (RedisError, TimeoutError) as error:
            logger.info("The jobs could not be counted: %r.", error)
            return
        found = {(backend, status): number for backend, status, number in counts}
        names = {*self._backends, *(backend for backend, _ in found)}
        self._jobs = {(n, s): found.get((n, s), 0) for n in names for s in UNFINISHED}

    def collect(self) -> Iterator[Metric]:
        """Yield all families, as prometheus_client asks for them."""
        process = GaugeMetricFamily(PROCESS, "The kind of process.", labels=["kind"])
        process.add_metric([self._kind], 1)
        yield process
        yield from (_metric(family) for family in FAMILIES if family)
        jobs = GaugeMetricFamily(
            JOBS,
            "Unfinished jobs of all processes, some seconds old.",
            labels=["backend", "status"],
        )
        for labels, number in self._jobs.items():
            jobs.add_metric(labels, number)
        yield jobs


def _metric(family: Tally | Spreads) -> Metric:
    if isinstance(family, Spreads):
        return _histogram(family)
    kind: Any = GaugeMetricFamily if isinstance(family, Level) else CounterMetricFamily
    metric = kind(family.name, family.says, labels=family.labels)
    for labels, number in list(family.items()):
        metric.add_metric(_as_tuple(labels), number)
    return metric  # type: ignore[no-any-return]  # both are


def _histogram(family: Spreads) -> Metric:
    metric = HistogramMetricFamily(family.name, family.says, labels=family.labels)
    for labels, spread in list(family.items()):
        buckets = list(spread.buckets())
        metric.add_metric(_as_tuple(labels), buckets, spread.sum)
    return metric


def _as_tuple(labels: str | tuple[str, ...]) -> tuple[str, ...]:
    return (labels,) if isinstance(labels, str) else labels
