"""The format of a recipe: which tables and keys there are, and the type of each."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from actors.requests import Action
from actors.status import Status

from .calls import Absent, BulkCall, Call, CancelCall, Every, Part, Refused, Start
from .expression import Expression
from .states import States

Milliseconds = Annotated[int, msgspec.Meta(ge=50, le=3_600_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Word = str | int | float | bool


class Basic(Part, frozen=True, kw_only=True):
    """A user and a password, for the services that ask for them (RFC 7617)."""

    user: str
    password: str


class StatusCall(Call, frozen=True, kw_only=True):
    """The call that asks for one job, and where in its answer each value stands."""

    state: Expression | None = None
    states: dict[Status, tuple[Word, ...]] = msgspec.field(default_factory=dict)
    other: Status | None = None
    when: dict[Status, Expression] = msgspec.field(default_factory=dict)
    percent: Expression | None = None
    progress: Expression | None = None  # an older name for `percent`
    fraction: Expression | None = None
    done: Expression | None = None
    total: Expression | None = None
    message: Expression | None = None
    error: Expression | None = None
    absent: Absent = Absent()
    final: tuple[Annotated[int, msgspec.Meta(ge=400, le=599)], ...] = (404, 410)

    @property
    def words(self) -> list[tuple[Word, Status]]:
        return [(word, ours) for ours, words in self.states.items() for word in words]

    def compiled(self) -> States:
        return States(self.state, self.words, self.when, self.other)

    def can_say(self, status: Status) -> bool:
        """True if an answer may mean this status."""
        return bool(
            self.states.get(status) or status in self.when or status is self.other
        )


class Result(Every, frozen=True, kw_only=True):
    """A succeeded job's result: a file to fetch, or values out of the last answer."""

    content_type: str = "application/octet-stream"
    values: dict[str, Expression] = msgspec.field(default_factory=dict)


class Recipe(Part, frozen=True, kw_only=True):
    """One kind of third party."""

    title: str
    description: str = ""
    url: str
    also_known_as: tuple[str, ...] = ()
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    basic: Basic | None = None
    unit: str | None = None
    timeout_s: Seconds = 5
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    poll_interval_ms: Milliseconds | None = None
    idle_interval_ms: Milliseconds | None = None
    give_up_after_s: Annotated[int, msgspec.Meta(ge=1)] = 86400
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    every: Every = Every()
    refused: Refused = Refused()
    start: Start
    status: StatusCall
    bulk: BulkCall | None = None
    cancel: CancelCall | None = None
    pause: Call | None = None
    resume: Call | None = None
    result: Result = Result()

    @property
    def refs_are_addresses(self) -> bool:
        calls = (self.status, self.result, *self.action_calls.values())
        return bool(self.start.ref.link) or any(
            call.request and call.request.takes_address for call in calls
        )

    @property
    def action_calls(self) -> dict[Action, Call]:
        """The call for each action that this kind of third party offers."""
        return {action: call for action in Action if (call := getattr(self, action))}

    @property
    def calls(self) -> dict[str, Every]:
        """Every call that the recipe has, by the name of its table."""
        calls: dict[str, Every | None] = {
            "start": self.start,
            "status": self.status,
            "bulk": self.bulk,
            **{str(action): call for action, call in self.action_calls.items()},
            "result": self.result if self.result.request else None,
        }
        return {name: call for name, call in calls.items() if call}


def params_schema(recipe: Recipe) -> dict[str, Any]:
    """Return the JSON Schema of the params: an object that takes nothing unnamed."""
    return {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
        **recipe.params,
    }
