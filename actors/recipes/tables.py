"""The tables of a recipe that are calls, and what each says beside its request."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from actors.status import Status

from .calls import JSON_TYPE, Call, Calls, Every, HttpStatus, Part, Source
from .expression import Expression
from .parts import Body
from .states import States
from .template import Values

Word = str | int | float | bool
StatesTable = dict[Status, tuple[Word, ...]]


class Reference(Source, frozen=True, kw_only=True):
    """Where a start's answer gives the backend's own name for the job.

    `value` is a name that we choose. `type` is the type of `{ref}` in JSON.
    """

    value: Body | None = None
    type: Literal["text", "number"] = "text"

    def __post_init__(self) -> None:
        if self._given + (self.value is not None) != 1:
            raise ValueError("needs one of `body`, `header`, `link` and `value`")


class Find(Call, frozen=True, kw_only=True):
    """The call that asks, before a start, if the job is there already."""

    ref: Source


class Then(Call, frozen=True, kw_only=True):
    """The second call of a start; it may give the job another name."""

    ref: Source | None = None


class Start(Call, frozen=True, kw_only=True):
    """The call that starts a job. `repeat` says if a lost start may be sent again."""

    ref: Reference
    repeat: Literal["never", "safe"] = "never"
    find: Find | None = None
    then: Then | None = None

    def _body(self, values: Values) -> tuple[str, bytes | None]:
        """Without a body, and if it names no param, it sends all params as JSON."""
        names_params = any(each.root == "params" for each in self.placeholders)
        if self._bodies or names_params or self.request.method == "GET":
            return super()._body(values)
        return JSON_TYPE, msgspec.json.encode(values.params)


class Absent(Part, frozen=True, kw_only=True):
    """How an answer says that the service does not know the job, and its meaning.

    So soon after the start (`within_s`) the job is not there yet.
    """

    statuses: tuple[HttpStatus, ...] | None = None
    when: Expression | None = None
    within_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 0
    means: Literal["failed", "succeeded", "cancelled"] = "failed"


class Steps(Part, frozen=True, kw_only=True):
    """Where an answer has the parts of a job, and what each part says of itself.

    Without `states` a part's words mean what the job's do.
    """

    items: Expression
    title: Expression | None = None
    state: Expression | None = None
    states: StatesTable = msgspec.field(default_factory=dict)
    other: Status | None = None
    percent: Expression | None = None
    done: Expression | None = None
    total: Expression | None = None
    weight: Expression | None = None


class StatusCall(Calls, frozen=True, kw_only=True):
    """The call that asks for one job, and where in its answer each value stands."""

    state: Expression | None = None
    states: StatesTable = msgspec.field(default_factory=dict)
    other: Status | None = None
    when: dict[Status, Expression] = msgspec.field(default_factory=dict)
    percent: Expression | None = None
    progress: Expression | None = None  # an older name for `percent`
    fraction: Expression | None = None
    done: Expression | None = None
    total: Expression | None = None
    message: Expression | None = None
    error: Expression | None = None
    epoch: Expression | None = None
    steps: Steps | None = None
    next: Source | None = None
    absent: Absent = Absent()
    final: tuple[Annotated[int, msgspec.Meta(ge=400, le=599)], ...] = (404, 410)

    @property
    def words(self) -> list[tuple[Word, Status]]:
        return [(word, ours) for ours, words in self.states.items() for word in words]

    @property
    def expressions(self) -> dict[str, Expression]:
        """Every expression over the answer, by its key."""
        keys = [
            *("state", "percent", "progress", "fraction", "done", "total"),
            *("message", "error", "epoch"),
        ]
        own = {key: where for key in keys if (where := getattr(self, key))}
        tests = {f"when.{status}": where for status, where in self.when.items()}
        items = {"steps.items": self.steps.items} if self.steps else {}
        return {**own, **tests, **items}

    def compiled(self) -> States:
        return States(self.state, self.words, self.when, self.other)

    def can_say(self, status: Status) -> bool:
        """True if an answer may mean this status."""
        return bool(
            self.states.get(status) or status in self.when or status is self.other
        )


class OAuth2(Part, frozen=True, kw_only=True):
    """A token for a program itself: client credentials (RFC 6749, section 4.4).

    `url` is the token endpoint, on whatever server. `send` says where the id and the
    secret stand.
    """

    url: str
    client_id: str
    client_secret: str
    scope: str | None = None
    audience: str | None = None
    send: Literal["basic", "form"] = "basic"


class Login(Every, frozen=True, kw_only=True):
    """The call whose answer has a token, and the answers after which it is made again.

    Without `request` and `oauth2`, the refused answer itself has it.
    """

    keep: dict[str, Source] = msgspec.field(default_factory=dict)
    oauth2: OAuth2 | None = None
    again_on: tuple[HttpStatus, ...] = (401,)
    lasts_s: Annotated[int, msgspec.Meta(ge=1)] = 86400

    @property
    def can_be_asked(self) -> bool:
        """True if there is a call that gives a token."""
        return self.request is not None or self.oauth2 is not None

    @property
    def gives(self) -> list[str]:
        """The names of what makes the token."""
        return ["token"] if self.oauth2 else list(self.keep)


class Adopt(Part, frozen=True, kw_only=True):
    """Jobs that others have started there may be watched, by a name that fits."""

    pattern: str
    title: str = "Name of the job there"


class BulkCall(Call, frozen=True, kw_only=True):
    """One call for many jobs: `{refs}` is their ids, with commas, or a list in JSON.

    Without `ref` the items are an object, whose keys are the ids.
    """

    items: Expression
    ref: Expression | None = None
    batch_size: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 100


class ListCall(Calls, frozen=True, kw_only=True):
    """The call that lists all jobs of the service, also those that others have started.

    Without `ref` the items are an object, whose keys are the names of the jobs. In
    `mark` an item has our id of the job, which its start has sent.
    """

    items: Expression
    ref: Expression | None = None
    title: Expression | None = None
    mark: Expression | None = None


class CancelCall(Calls, frozen=True, kw_only=True):
    """The call that stops a job. An end that is in `claims` was then the stop.

    If it has `only`, it works while a job has one of these statuses.
    """

    claims: tuple[Literal["succeeded", "failed"], ...] = ()
    only: Annotated[
        tuple[Literal["queued", "running", "paused"], ...], msgspec.Meta(min_length=1)
    ] = ()


class Result(Every, frozen=True, kw_only=True):
    """A succeeded job's result: a file to fetch, or values out of an answer.

    It is the last answer, or that of the call in `call`.
    """

    content_type: str = "application/octet-stream"
    values: dict[str, Expression] = msgspec.field(default_factory=dict)
    call: Call | None = None
