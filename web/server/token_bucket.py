"""How much a client may still send: a bucket that fills up again."""

import time

# So much at once, and so much a second in the long run.
BURST = 300
PER_SECOND = 100


class Allowance:
    """One client's bucket."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = float(BURST)
        self._at = time.monotonic()

    def spend(self, cost: int) -> bool:
        """Take some; False where so many are not left."""
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * PER_SECOND) - cost
        self._at = now
        return self._left >= 0
