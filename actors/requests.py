"""Requests to a running job (cancel, pause, resume): one table says how each works.

A request is asked by a viewer, sent to the backend by a worker, and settled by the
backend's next report.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from actors.status import TERMINAL, Status


class Action(StrEnum):
    """The verb of a request."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"


class RequestState(StrEnum):
    """How far a request has come."""

    ASKED = "asked"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    TOO_LATE = "too_late"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The last request to a job, as its snapshot shows it.

    `message` is the backend's reason if it has refused.
    """

    action: Action
    state: RequestState = RequestState.ASKED
    asked_at: str
    message: str | None = None

    @property
    def is_open(self) -> bool:
        return self.state in (RequestState.ASKED, RequestState.SENT)


@dataclass(frozen=True, slots=True)
class Rule:
    """How one action works.

    `allowed_in`: the statuses in which it may be asked. `shown_as`: the status that the
    job shows until the backend answers; None leaves it as it is. `settled_by`: the
    statuses with which the backend confirms. `done`: the action as a participle.
    """

    allowed_in: frozenset[Status]
    shown_as: Status | None
    settled_by: frozenset[Status]
    done: str


RULES = {
    Action.CANCEL: Rule(
        allowed_in=frozenset(Status) - TERMINAL,
        shown_as=Status.STOPPING,
        settled_by=frozenset({Status.CANCELLED}),
        done="stopped",
    ),
    Action.PAUSE: Rule(
        allowed_in=frozenset({Status.QUEUED, Status.RUNNING}),
        shown_as=None,
        settled_by=frozenset({Status.PAUSED}),
        done="paused",
    ),
    Action.RESUME: Rule(
        allowed_in=frozenset({Status.PAUSED}),
        shown_as=None,
        settled_by=frozenset({Status.QUEUED, Status.RUNNING, Status.SUCCEEDED}),
        done="resumed",
    ),
}


def settled(request: Request | None, status: Status) -> Request | None:
    """Return the request after the backend has reported `status`."""
    if request is None or not request.is_open:
        return request
    if status in RULES[request.action].settled_by:
        return msgspec.structs.replace(request, state=RequestState.CONFIRMED)
    if status in TERMINAL:
        return msgspec.structs.replace(request, state=RequestState.TOO_LATE)
    return request
