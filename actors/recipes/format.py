"""The format of a recipe: which tables and keys there are, and the type of each."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import msgspec

from actors.requests import Action

from .calls import Call, Calls, Every, Part, Refused, Source
from .tables import (
    Adopt,
    BulkCall,
    CancelCall,
    ListCall,
    Login,
    Result,
    Start,
    StatusCall,
)

Milliseconds = Annotated[int, msgspec.Meta(ge=50, le=3_600_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
MostActive = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
CallsPerMinute = Annotated[int, msgspec.Meta(ge=2, le=600_000)]


class Basic(Part, frozen=True, kw_only=True):
    """A user and a password, for the services that ask for them (RFC 7617)."""

    user: str
    password: str

    @property
    def header(self) -> str:
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class Recipe(Part, frozen=True, kw_only=True):
    """One kind of third party."""

    title: str
    description: str = ""
    order: int = 0
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
    deadline_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    most_active: MostActive | None = None
    calls_per_minute: CallsPerMinute | None = None
    remembers_s: Seconds | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    every: Every = Every()
    refused: Refused = Refused()
    login: Login | None = None
    start: Start
    status: StatusCall
    bulk: BulkCall | None = None
    list: ListCall | None = None
    cancel: CancelCall | None = None
    pause: Calls | None = None
    resume: Calls | None = None
    result: Result = Result()
    adopt: Adopt | None = None

    @property
    def headers_of_all(self) -> dict[str, str]:
        """The headers that each request has."""
        own = {"Authorization": self.basic.header} if self.basic else {}
        return {**self.headers, **own}

    @property
    def starts_once(self) -> bool:
        """True if a start whose answer was lost may not be sent again."""
        can_be_found = self.start.find or (self.list and self.list.mark)
        return self.start.repeat == "never" and not can_be_found

    @property
    def addresses(self) -> set[str]:
        """What some path begins with: the ref, or the names of kept values."""
        lines = (call.request for call in self.calls.values())
        begin = {line.address.name or "ref" for line in lines if line and line.address}
        return begin | ({"ref"} if self.start.ref.link else set())

    @property
    def action_calls(self) -> dict[Action, Calls]:
        """The table for each action that this kind of third party offers."""
        return {action: call for action in Action if (call := getattr(self, action))}

    @property
    def calls(self) -> dict[str, Every]:
        """Every call that the recipe has, by the name of its table."""
        tables: dict[str, Every | None] = {
            "start": self.start,
            "start.find": self.start.find,
            "start.then": self.start.then,
            "status": self.status,
            "bulk": self.bulk,
            "list": self.list,
            **{str(action): call for action, call in self.action_calls.items()},
            "result": self.result if self.result.request else None,
            "result.call": self.result.call,
        }
        return {
            f"{table}.calls.{name}" if name else table: each
            for table, call in tables.items()
            if call
            for name, each in (
                call.each if isinstance(call, Calls) else {"": call}
            ).items()
        }

    @property
    def keeps(self) -> dict[str, Source]:
        """Every value that the recipe keeps, by its name."""
        tables = (
            call for call in self.calls.values() if isinstance(call, Call | Calls)
        )
        return {name: where for call in tables for name, where in call.keep.items()}


class PythonRecipe(Part, frozen=True, kw_only=True):
    """One kind of third party that a class in Python speaks to.

    `backend` is its module and its name, `options` are for it alone.
    """

    title: str
    description: str = ""
    order: int = 0
    backend: str
    unit: str | None = None
    timeout_s: Seconds = 5
    poll_interval_ms: Milliseconds | None = None
    idle_interval_ms: Milliseconds | None = None
    give_up_after_s: Annotated[int, msgspec.Meta(ge=1)] = 86400
    deadline_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    most_active: MostActive | None = None
    calls_per_minute: CallsPerMinute | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    options: dict[str, Any] = msgspec.field(default_factory=dict)


AnyRecipe = Recipe | PythonRecipe


def params_schema(recipe: AnyRecipe) -> dict[str, Any]:
    """Return the JSON Schema of the params: an object that takes nothing unnamed."""
    return {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
        **recipe.params,
    }
