"""Messages on a WebSocket: snapshots as frames, and a client's messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from actors import Snapshot
from web.http.json_input import parsed
from web.http.problems import Problem
from web.server.direct_write import text_frame
from web.server.limits import MAX_BATCH_BYTES


class Message(msgspec.Struct):
    """A client's message."""

    action: str
    backend: str | None = None
    params: dict[str, Any] = {}
    job: str | None = None
    key: str | None = None
    after: int = 0

    def named_job(self) -> str:
        """Return the job; raises a 422 Problem if there is none."""
        if self.job is None:
            raise Problem(422, "no_job", "Say which job: the message has no `job`.")
        return self.job


def read(frame: Any) -> Any:
    """Parse a client's frame; raises a 400 Problem."""
    if not isinstance(frame, str):  # an empty binary one comes as None
        raise Problem(400, "not_text", "Send text frames, not binary ones.")
    return parsed(frame)


def subject(said: Any) -> dict[str, str]:
    """Return the part of a message that an error frame repeats."""
    about = {"action": ""}
    for name in ("action", "job", "key"):
        if isinstance(said, dict) and isinstance(said.get(name), str):
            about[name] = said[name]
    return about


@lru_cache(maxsize=128)  # many streams are told the same
def frame(snapshot: Snapshot) -> bytes:
    """A snapshot as a whole WebSocket frame."""
    return text_frame(snapshot.data)


def arrays(news: Iterable[Snapshot]) -> Iterator[bytes]:
    """Join snapshots into as few JSON arrays as possible; a single one is no array."""
    batch: list[bytes] = []
    size = 0
    for snapshot in news:
        size += len(snapshot.data) + 1
        if batch and size > MAX_BATCH_BYTES:
            yield _array(batch)
            batch, size = [], len(snapshot.data) + 1
        batch.append(snapshot.data)
    if batch:
        yield _array(batch)


def _array(batch: Sequence[bytes]) -> bytes:
    return b"[%s]" % b",".join(batch) if len(batch) > 1 else batch[0]
