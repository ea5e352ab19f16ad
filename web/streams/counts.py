"""The numbers of streams, for Prometheus."""

from __future__ import annotations

from datetime import datetime
from itertools import cycle
from time import time

from actors import Level, Snapshot, Spreads, Tally

TRANSPORTS = ("websocket", "sse", "long_poll")
_turns = cycle(range(8))
_OBSERVED = b'"observed_at":"'
_TIME_CHARACTERS = len("2026-01-01T12:00:00.000Z")

OPEN = Level("progrock_streams", "Open streams.", "transport", known=TRANSPORTS)
OPENED = Tally(
    "progrock_streams_opened_total",
    "Streams that were opened.",
    "transport",
    known=TRANSPORTS,
)
CLOSED = Tally(
    "progrock_streams_closed_total",
    "Streams that ended: client (it left), finished (all its jobs ended), answered (a "
    "long poll), drain, flood, redis (it was away) or error.",
    *("transport", "reason"),
)
SENT = Tally(
    "progrock_frames_sent_total",
    "Snapshots that were sent to clients.",
    "transport",
    known=TRANSPORTS,
)
SKIPPED = Tally(
    "progrock_frames_skipped_total",
    "Snapshots that a slow client was spared, for a newer one came first.",
    known=((),),
)
FRAME_AGE_S = Spreads(
    "progrock_frame_age_seconds",
    "From the moment a backend was heard to the frames that tell it, by the clocks of "
    "two machines. One announcement in eight is looked at.",
    known=((),),
)
FEED_UP = Level(
    "progrock_feed_up", "1 while the feed from Redis is heard.", known=((),)
)
RESYNCS = Tally(
    "progrock_resyncs_total",
    "How often the present was shown to every stream, after a gap in the feed.",
    known=((),),
)


def opened(transport: str) -> None:
    OPENED[transport] += 1
    OPEN[transport] += 1


def closed(transport: str, reason: str) -> None:
    CLOSED[transport, reason] += 1
    OPEN[transport] -= 1


def see_age(snapshot: Snapshot) -> None:
    """Count how old the observation in a snapshot is that was just sent.

    To look costs a tenth of an update, so only one in some is looked at.
    """
    if next(_turns):
        return
    text = observed_at(snapshot)
    if text and b'"reachable":false' not in snapshot.data:
        FRAME_AGE_S[()].see(time() - datetime.fromisoformat(text).timestamp())


def observed_at(snapshot: Snapshot) -> str | None:
    """When the backend was last heard, without parsing the snapshot."""
    data = snapshot.data
    at = data.rfind(_OBSERVED)
    if at < 0:
        return None
    start = at + len(_OBSERVED)
    return data[start : start + _TIME_CHARACTERS].decode()
