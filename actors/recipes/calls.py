"""The calls of a recipe: the shape of each request, and which answers are refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

from .expression import Expression
from .multipart import as_multipart
from .parts import Body, Fields, Headers, RequestLine
from .template import Placeholder, Shape, Text, Values

JSON_TYPE = "application/json"

HttpStatus = Annotated[int, msgspec.Meta(ge=100, le=599)]


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


class Source(Part, frozen=True, kw_only=True):
    """Where an answer has a value: in its body, in a header, or an address in it."""

    body: Expression | None = None
    header: str | None = None
    link: Expression | None = None

    def __post_init__(self) -> None:
        if self._given != 1:
            raise ValueError("needs one of `body`, `header` and `link`")

    @property
    def where(self) -> Expression | None:
        """Where the body has the value; None if a header has it."""
        return self.body or self.link

    @property
    def _given(self) -> int:
        return sum(each is not None for each in (self.body, self.header, self.link))


class Every(Part, frozen=True, kw_only=True):
    """The keys that each call may have; those of `[every]` are in all calls."""

    request: RequestLine | None = None
    query: Fields | None = None
    headers: Headers | None = None
    json: Shape | None = None
    form: Fields | None = None
    multipart: Fields | None = None
    text: Body | None = None
    accept: tuple[HttpStatus, ...] = ()
    refused: Refused = Refused()

    def __post_init__(self) -> None:
        if len(self._bodies) > 1:
            raise ValueError("needs one of `json`, `form`, `multipart` and `text`")

    @property
    def texts(self) -> list[Text]:
        """Every text of the call that may have placeholders."""
        parts = (self.request, self.query, self.headers, *self._bodies)
        return [text for part in parts if part for text in part.texts]

    @property
    def placeholders(self) -> list[Placeholder]:
        return [each for text in self.texts for each in text.placeholders]

    @property
    def names(self) -> set[str]:
        """The kept values that the call needs."""
        return {each.name for each in self.placeholders if each.root == "keep"}

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
        if self.multipart is not None:
            return as_multipart(self.multipart.fill(values))
        if self.text is not None:
            return "text/plain; charset=utf-8", self.text.fill(values).encode()
        return "", None

    @property
    def _bodies(self) -> list[Shape | Fields | Body]:
        bodies = (self.json, self.form, self.multipart, self.text)
        return [body for body in bodies if body is not None]


class Call(Every, frozen=True, kw_only=True):
    """One call to the service. `keep` says which values of its answer we remember."""

    request: RequestLine
    keep: dict[str, Source] = msgspec.field(default_factory=dict)


class NamedCall(Call, frozen=True, kw_only=True):
    """One of several calls, which are sent at once.

    It is left out while a kept value that it needs is not known, and as soon as one
    that `unless` names is known. If it is `optional`, its failure hurts nothing.
    """

    unless: tuple[str, ...] = ()
    optional: bool = False

    def is_due(self, kept: Mapping[str, object]) -> bool:
        """True if the call belongs to those that are sent now."""
        return self.names <= kept.keys() and not any(
            map(kept.__contains__, self.unless)
        )


class Calls(Every, frozen=True, kw_only=True):
    """A table that is one call, or has several in `calls`."""

    keep: dict[str, Source] = msgspec.field(default_factory=dict)
    calls: dict[str, NamedCall] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.request is None) == (not self.calls):
            raise ValueError("needs one of `request` and `calls`")
        if self.calls and (self.keep or self.query or self.headers or self._bodies):
            raise ValueError("has `calls`, so each of them has its own keys")

    @property
    def each(self) -> dict[str, Every]:
        """The calls by name; a single one has none."""
        return {**self.calls} or {"": self}

    @property
    def is_plain(self) -> bool:
        """True if only the ref is put into a path, as in nearly every poll."""
        return (
            self.request is not None
            and self.request.needs_only_ref
            and self.query is None
            and self.headers is None
            and not self._bodies
        )
