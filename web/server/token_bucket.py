"""A token bucket: how much one client may still send."""

import time

from .limits import MESSAGE_BURST, MESSAGES_PER_SECOND


class TokenBucket:
    """One client's bucket, which fills up again."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = float(MESSAGE_BURST)
        self._at = time.monotonic()

    def spend(self, cost: int) -> bool:
        """Take so many tokens; False if they are not there."""
        now = time.monotonic()
        refill = (now - self._at) * MESSAGES_PER_SECOND
        self._left = min(MESSAGE_BURST, self._left + refill) - cost
        self._at = now
        return self._left >= 0
