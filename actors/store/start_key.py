"""The key with which the same start may come again, and why a start is refused."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


class TooManyJobsError(Exception):
    """The owner has as many active jobs as allowed."""


class KeyReusedError(Exception):
    """An Idempotency-Key came again with another start."""


class StartKey(NamedTuple):
    """An Idempotency-Key, and a fingerprint of the start that it came with."""

    digest: str
    fingerprint: str

    @classmethod
    def of(cls, key: str, backend: str, params: Mapping[str, Any]) -> StartKey:
        return cls(_hash(key.encode()), _hash(_encode_sorted([backend, params])))


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()
