"""The calls of a recipe: the shape of each request, and which answers are refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

from .expression import Expression
from .parts import Body, Fields, Headers, RequestLine
from .template import Placeholder, Shape, Text, Values

JSON_TYPE = "application/json"

HttpStatus = Annotated[int, msgspec.Meta(ge=100, le=599)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Part(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One table of a recipe."""


class Outgoing(NamedTuple):
    """A request as it is sent: the path is escaped, the body encoded."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None


class Refused(Part, frozen=True, kw_only=True):
    """How an answer says that it is a refusal, whatever its HTTP status."""

    when: Expression | None = None
    says: Expression | None = None


class Every(Part, frozen=True, kw_only=True):
    """The keys that each call may have; those of `[every]` are in all calls."""

    request: RequestLine | None = None
    query: Fields | None = None
    headers: Headers | None = None
    json: Shape | None = None
    form: Fields | None = None
    text: Body | None = None
    accept: tuple[HttpStatus, ...] = ()
    refused: Refused = Refused()

    def __post_init__(self) -> None:
        if self._bodies > 1:
            raise ValueError("needs one of `json`, `form` and `text`")

    @property
    def texts(self) -> list[Text]:
        """Every text of the call that may have placeholders."""
        parts = (self.request, self.query, self.headers)
        bodies = (self.json, self.form, self.text)
        return [text for part in (*parts, *bodies) if part for text in part.texts]

    @property
    def placeholders(self) -> list[Placeholder]:
        return [each for text in self.texts for each in text.placeholders]

    def accepts(self, status: int) -> bool:
        """True if the HTTP status of an answer is a success."""
        return 200 <= status < 300 or status in self.accept

    def fill(self, values: Values) -> Outgoing:
        """Return the request with these values in it; raises UnfitError."""
        assert self.request is not None  # the loader sees to it
        path = self.request.fill(values)
        if self.query and (pairs := self.query.fill(values)):
            path += ("&" if "?" in path else "?") + urlencode(
                pairs, quote_via=quote, safe=""
            )
        content_type, body = self._body(values)
        headers = self.headers.fill(values) if self.headers else {}
        if body is not None and "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = content_type
        return Outgoing(self.request.method, path, headers, body)

    def _body(self, values: Values) -> tuple[str, bytes | None]:
        if self.json is not None:
            value = self.json.fill(values)
            body = None if value is UNSET else msgspec.json.encode(value)
            return JSON_TYPE, body
        if self.form is not None:
            pairs = self.form.fill(values)
            return "application/x-www-form-urlencoded", urlencode(pairs).encode()
        if self.text is not None:
            return "text/plain; charset=utf-8", self.text.fill(values).encode()
        return "", None

    @property
    def _bodies(self) -> int:
        return sum(body is not None for body in (self.json, self.form, self.text))


class Call(Every, frozen=True, kw_only=True):
    """One call to the service."""

    request: RequestLine

    @property
    def is_plain(self) -> bool:
        """True if only the ref is put into its path, as in nearly every poll."""
        return (
            self.request.needs_only_ref
            and self.query is None
            and self.headers is None
            and self._bodies == 0
        )


class Reference(Part, frozen=True, kw_only=True):
    """Where a start's answer gives the backend's own name for the job.

    `value` is a name that we choose. `type` is the type of `{ref}` in JSON.
    """

    body: Expression | None = None
    header: str | None = None
    link: Expression | None = None
    value: Body | None = None
    type: Literal["text", "number"] = "text"

    def __post_init__(self) -> None:
        given = (self.body, self.header, self.link, self.value)
        if sum(each is not None for each in given) != 1:
            raise ValueError("needs one of `body`, `header`, `link` and `value`")


class Start(Call, frozen=True, kw_only=True):
    """The call that starts a job. `repeat` says if a lost start may be sent again."""

    ref: Reference
    repeat: Literal["never", "safe"] = "never"

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


class BulkCall(Call, frozen=True, kw_only=True):
    """One call for many jobs: `{refs}` is their ids, with commas, or a list in JSON."""

    items: Expression
    ref: Expression
    batch_size: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 100


class CancelCall(Call, frozen=True, kw_only=True):
    """The call that stops a job. An end that is in `claims` was then the stop."""

    claims: tuple[Literal["succeeded", "failed"], ...] = ()
