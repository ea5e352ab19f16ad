"""Where jobs live: in Redis, changed by one script each."""

from .store import ATTENTION_MS, LEASE_MS, Store
from .values import KeyReusedError, TooManyJobsError

__all__ = ["ATTENTION_MS", "LEASE_MS", "KeyReusedError", "Store", "TooManyJobsError"]
