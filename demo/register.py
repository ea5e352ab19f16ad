"""A register of items by id, which forgets items some time after their end."""

from collections import deque
from typing import Generic, Protocol, TypeVar


class Known(Protocol):
    id: str
    idempotency_key: str | None


T = TypeVar("T", bound=Known)


class Register(Generic[T]):
    def __init__(self, *, max_ended: int, max_ended_s: float) -> None:
        self._max_ended = max_ended
        self._max_ended_s = max_ended_s
        self._by_id: dict[str, T] = {}
        self._by_key: dict[str, T] = {}
        self._ended: deque[tuple[float, T]] = deque()

    def add(self, item: T) -> None:
        self._by_id[item.id] = item
        if item.idempotency_key is not None:
            self._by_key[item.idempotency_key] = item

    def get(self, id: str) -> T | None:
        return self._by_id.get(id)

    def get_by_key(self, idempotency_key: str | None) -> T | None:
        return self._by_key.get(idempotency_key) if idempotency_key else None

    def note_end(self, item: T, ended_at: float) -> None:
        self._ended.append((ended_at, item))

    def drop_old(self, now: float) -> None:
        while self._ended and self._has_to_go(self._ended[0][0], now):
            _, item = self._ended.popleft()
            del self._by_id[item.id]
            if item.idempotency_key is not None:
                del self._by_key[item.idempotency_key]

    def _has_to_go(self, oldest_end: float, now: float) -> bool:
        too_many = len(self._ended) > self._max_ended
        return too_many or oldest_end < now - self._max_ended_s
