"""Words that services use: for states, and for the fields of their answers."""

from __future__ import annotations

import re

from actors.status import Status

STATES: dict[Status, tuple[str, ...]] = {
    Status.QUEUED: (
        *("queued", "pending", "scheduled", "waiting", "created", "submitted"),
        *("accepted", "new", "ready", "late", "not_started", "enqueued", "initial"),
    ),
    Status.RUNNING: (
        *("running", "started", "in_progress", "processing", "active", "executing"),
        *("working", "starting", "retrying", "busy", "initializing", "finalizing"),
        *("preparing", "progress", "ongoing", "uploading", "downloading"),
    ),
    Status.PAUSED: ("paused", "suspended", "on_hold", "held"),
    Status.STOPPING: (
        *("stopping", "cancelling", "canceling", "aborting", "terminating"),
        *("revoking", "cancel_requested"),
    ),
    Status.SUCCEEDED: (
        *("succeeded", "success", "successful", "completed", "complete", "done"),
        *("finished", "ok", "ended", "passed"),
    ),
    Status.FAILED: (
        *("failed", "failure", "error", "errored", "crashed", "expired", "broken"),
        *("timeout", "timed_out", "dead", "rejected", "invalid", "lost"),
    ),
    Status.CANCELLED: (
        *("cancelled", "canceled", "aborted", "stopped", "revoked", "terminated"),
        *("killed", "interrupted"),
    ),
}

# The names of fields, in the order in which they are believed.
FIELDS: dict[str, tuple[str, ...]] = {
    "ref": (
        *("id", "job_id", "task_id", "run_id", "uuid", "execution_id", "build_id"),
        *("operation_id", "request_id", "workflow_id", "name", "key"),
    ),
    "state": ("state", "status", "state_type", "phase", "state_name", "job_status"),
    "percent": ("percent", "percentage", "percent_complete", "progress", "pct"),
    "fraction": ("fraction", "ratio", "estimated_progress", "progress"),
    "done": (
        *("done", "completed", "processed", "count", "current", "finished_items"),
        *("completed_items", "processed_items", "step", "completed_steps"),
    ),
    "total": ("total", "total_items", "total_count", "total_steps", "items_total"),
    "message": ("message", "description", "detail", "stage", "current_step", "text"),
    "error": ("error", "error_message", "failure_reason", "reason", "exception"),
}

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BY_WORD = {word: status for status, words in STATES.items() for word in words}


def plain(name: str) -> str:
    """Return `percentComplete`, `percent-complete` and `Percent Complete` alike."""
    apart = _HUMP.sub(" ", name)
    words = "".join(c if c.isalnum() else " " for c in apart).split()
    return "_".join(words).lower()


def meaning(word: str) -> Status | None:
    """Return the status that a service's word usually stands for."""
    return _BY_WORD.get(plain(word))
