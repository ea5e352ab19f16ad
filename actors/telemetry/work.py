"""The numbers of the work on jobs: polls, calls, beats, leases, ends."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

from actors.backends import AbsentError, BackendError, Report

from .tallies import Level, Spreads, Tally

POLLS = Tally(
    "progrock_polls_total",
    "Jobs that a backend was asked for, by the outcome.",
    *("backend", "outcome"),
)
POLL_LATENESS_S = Spreads(
    "progrock_poll_lateness_seconds",
    "How long after its planned moment a job was asked for.",
    "backend",
)
CALL_S = Spreads(
    "progrock_backend_call_seconds",
    "How long a backend took, by the kind of call: start, poll or request.",
    *("backend", "call"),
)
BACKEND_UP = Level(
    "progrock_backend_up",
    "0 while a backend is left alone because it fails, otherwise 1.",
    "backend",
)
CANCEL_S = Spreads(
    "progrock_cancel_seconds",
    "From the wish to stop a job to its end.",
    "backend",
)
CREATED = Tally(
    "progrock_jobs_created_total", "Jobs that this process has created.", "backend"
)
ENDED = Tally(
    "progrock_jobs_ended_total",
    "Jobs whose end this process has written, by the status.",
    *("backend", "status"),
)
BEATS = Tally(
    "progrock_beats_total",
    "Beats of poll chains: ok, stale (a duplicate), over (no job is left), restarted "
    "by the watchdog (one was lost, or a chain is new).",
    "outcome",
    known=("ok", "stale", "over", "restarted"),
)
LEASES_LOST = Tally(
    "progrock_leases_lost_total",
    "Jobs that could not be written back: another worker had them, or ended them.",
    known=((),),
)
FEED_LAG_S = Spreads(
    "progrock_feed_lag_seconds",
    "How far this process is behind in the feed: Redis answers a ping after all lines.",
    known=((),),
)
SCRIPT_S = Spreads(
    "progrock_script_seconds",
    "How long Redis took for a script, with the way there and back.",
    "script",
)
LOOP_LAG_S = Spreads(
    "progrock_loop_lag_seconds",
    "How late the event loop of the process ran a timer.",
    known=((),),
)

_LIMITED, _TIMEOUT, _UNREACHABLE = "http_429", "timeout", "unreachable"


def count_polls(backend: str, answers: Iterable[Report | BackendError]) -> None:
    for answer in answers:
        POLLS[backend, _outcome_of(answer)] += 1


def _outcome_of(answer: Report | BackendError) -> str:
    """Return an answer as one of a few words, whatever codes there are."""
    if isinstance(answer, Report):
        return "ok"
    if isinstance(answer, AbsentError):
        return "absent"
    if answer.code in (_TIMEOUT, _UNREACHABLE):
        return answer.code
    if answer.code == _LIMITED:
        return "limited"
    return "refused" if answer.permanent else "failed"


class Timed:
    """Sees how long a call to a backend takes, also if it fails."""

    __slots__ = ("_began", "_spread")

    def __init__(self, backend: str, call: str) -> None:
        self._spread = CALL_S[backend, call]

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._spread.see(perf_counter() - self._began)
