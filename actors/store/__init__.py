"""Where jobs live: in Redis, changed by one script each."""

from .store import (
    ATTENTION_MS,
    FEED,
    LEASE_MS,
    PREFIX,
    Store,
    TooManyJobsError,
    now_ms,
)

__all__ = [
    "ATTENTION_MS",
    "FEED",
    "LEASE_MS",
    "PREFIX",
    "Store",
    "TooManyJobsError",
    "now_ms",
]
