"""Where jobs live: in Redis, changed by one script each."""

from .partition import ATTENTION_MS, LEASE_MS
from .store import Store
from .values import KeyReusedError, TooManyJobsError

__all__ = ["ATTENTION_MS", "LEASE_MS", "KeyReusedError", "Store", "TooManyJobsError"]
