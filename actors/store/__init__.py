"""Where jobs live: in Redis, changed by one script each."""

from .partition import ATTENTION_MS, LEASE_MS
from .start_key import KeyReusedError, TooManyJobsError
from .store import Store

__all__ = ["ATTENTION_MS", "LEASE_MS", "KeyReusedError", "Store", "TooManyJobsError"]
