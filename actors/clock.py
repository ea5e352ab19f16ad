"""This machine's clock, for the times that people read.

Leases and beats go by Redis's clock, see `redis_now_ms` in the store.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=64)  # the jobs of one batch are heard in the same few milliseconds
def timestamp(at_ms: int) -> str:
    """Return milliseconds since 1970 as ISO 8601, `2026-01-01T12:00:00.000Z`."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
