"""When a service has done as it was asked: paused, gone on, or stopped a job."""

from __future__ import annotations

from actors.backends import Report
from actors.requests import Action
from actors.status import Status

PATIENCE_S = 15  # for a request to be obeyed
AGAIN_S = 5  # after which it is sent once more
WANTED = {
    Action.PAUSE: {Status.PAUSED},
    Action.RESUME: {Status.RUNNING, Status.QUEUED},
    Action.CANCEL: {Status.CANCELLED},
}


class NotObeyedError(Exception):
    """A service has taken a request, and has not done as it was asked."""


def has_ended(report: Report | None) -> bool:
    return report is None or report.status.terminal
