"""The format of a recipe: which tables and keys there are, and the type of each."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from actors.requests import Action
from actors.status import Status

from .expression import Expression

_REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) ((?:/|\{ref\})\S*)")

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Milliseconds = Annotated[int, msgspec.Meta(ge=50, le=3_600_000)]


class RequestLine:
    """`GET /things/{ref}`: a method and a path with places to fill in."""

    def __init__(self, text: str) -> None:
        match = _REQUEST.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} must be a method and a path, such as GET /things/{{ref}}"
            )
        self.method, self.path = match.groups()

    @property
    def takes_address(self) -> bool:
        """`GET {ref}`: the ref is an address rather than a name within one."""
        return self.path.startswith("{ref}")


class Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One table of a recipe."""


class Reference(Part, frozen=True, kw_only=True):
    """Where a start's answer gives the backend's own name for the job."""

    header: str | None = None
    body: Expression | None = None

    def __post_init__(self) -> None:
        if (self.header is None) == (self.body is None):
            raise ValueError("needs either `header` or `body`")


class Start(Part, frozen=True, kw_only=True):
    request: RequestLine
    ref: Reference


class StatusRules(Part, frozen=True, kw_only=True):
    """Where in a status answer each value stands, and their words for our statuses."""

    state: Expression
    states: dict[Status, list[str]]
    progress: Expression | None = None
    done: Expression | None = None
    total: Expression | None = None
    message: Expression | None = None
    error: Expression | None = None

    @property
    def statuses(self) -> dict[str, Status]:
        return {word: ours for ours, words in self.states.items() for word in words}


class StatusCall(StatusRules, frozen=True, kw_only=True):
    request: RequestLine
    final: tuple[Annotated[int, msgspec.Meta(ge=400, le=599)], ...] = (404, 410)


class BulkCall(Part, frozen=True, kw_only=True):
    """One call for many jobs: `{refs}` in the path is their ids, with commas."""

    request: RequestLine
    items: Expression
    ref: Expression
    batch_size: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 100


class ActionCall(Part, frozen=True, kw_only=True):
    """One call that cancels, pauses or resumes a job."""

    request: RequestLine


class Result(Part, frozen=True, kw_only=True):
    """A succeeded job's result: a file to fetch, or values out of the last answer."""

    request: RequestLine | None = None
    content_type: str = "application/octet-stream"
    values: dict[str, Expression] = {}


class Recipe(Part, frozen=True, kw_only=True):
    """One kind of third party."""

    title: str
    description: str = ""
    url: str
    headers: dict[str, str] = {}
    unit: str | None = None
    timeout_s: Seconds = 5
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    poll_interval_ms: Milliseconds | None = None
    idle_interval_ms: Milliseconds | None = None
    give_up_after_s: Annotated[int, msgspec.Meta(ge=1)] = 86400
    params: dict[str, Any] = {}
    start: Start
    status: StatusCall
    bulk: BulkCall | None = None
    cancel: ActionCall | None = None
    pause: ActionCall | None = None
    resume: ActionCall | None = None
    result: Result = Result()

    @property
    def refs_are_addresses(self) -> bool:
        lines = (self.status.request, self.result.request, *self.action_calls.values())
        return any(line.takes_address for line in lines if line)

    @property
    def action_calls(self) -> dict[Action, RequestLine]:
        """The call for each action that this kind of third party offers."""
        calls: dict[Action, ActionCall | None] = {
            Action.CANCEL: self.cancel,
            Action.PAUSE: self.pause,
            Action.RESUME: self.resume,
        }
        return {action: call.request for action, call in calls.items() if call}


def params_schema(recipe: Recipe) -> dict[str, Any]:
    """Return the JSON Schema of the params: an object that takes nothing unnamed."""
    return {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
        **recipe.params,
    }
