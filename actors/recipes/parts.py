"""The parts of a call: request line, query, headers, form and text, with placeholders.

Each part refuses, or escapes, a value that would reach beyond its own place.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from msgspec import UNSET

from .template import Placeholder, Shape, Text, Values, written

# A path begins with a slash, unless it begins with an address.
_REQUEST = re.compile(
    r"(GET|POST|PUT|PATCH|DELETE) "
    r"(?P<address>\{(?:ref|keep\.[\w-]+)\})?(?P<rest>(?(address)|/)\S*)"
)
_NAME_OF_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STEP = re.compile(r"[/\\]")


class UnfitError(ValueError):
    """A value cannot stand where the recipe puts it; the message is a sentence."""

    def __init__(self, placeholder: Placeholder, reason: str) -> None:
        name = placeholder.name or "that names the job"
        super().__init__(f"The value {name} {reason}.")


class RequestLine:
    """`GET /things/{ref}`: a method and a path with places to fill in.

    A path may begin with an address: with `{ref}`, or with a kept value.
    """

    def __init__(self, text: str) -> None:
        match = _REQUEST.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} must be a method and a path, such as GET /things/{{ref}}"
            )
        self.method = match[1]
        self._address = Text(match["address"] or "")
        path, mark, query = match["rest"].partition("?")
        self._path, self._query = Text(path), Text(mark + query)
        if any(brace in part for part in self._path.constants for brace in "{}"):
            raise ValueError(f"{path!r} has a brace that is no placeholder's")
        self.needs_only_ref = all(
            each.root == "ref" and not each.how for each in self.placeholders
        )

    @property
    def texts(self) -> list[Text]:
        return [self._address, self._path, self._query]

    @property
    def placeholders(self) -> list[Placeholder]:
        return [each for text in self.texts for each in text.placeholders]

    @property
    def takes_address(self) -> bool:
        return self.address is not None

    @property
    def address(self) -> Placeholder | None:
        """The placeholder of the address that the path begins with."""
        return next(iter(self._address.placeholders), None)

    def fill(self, values: Values) -> str:
        """Return the path, escaped; raises UnfitError."""
        address = self._address.fill(values, _as_address)
        path = self._path.fill(values, _in_path)
        query = self._query.fill(values, _escaped)
        if UNSET in (address, path, query):  # the loader sees to it
            raise UnfitError(Placeholder("params"), "is missing in the path")
        return f"{address}{path}{query}"


class Fields:
    """Names and values: a query, or a form. A list gives its name several times."""

    TAKES: Any = dict

    def __init__(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            each = value if isinstance(value, list) else [value]
            if any(isinstance(one, dict | list) for one in each):
                raise ValueError(
                    f"{name!r} must be a text, a number, or a list of them"
                )
        self._shape = Shape(fields)

    @property
    def texts(self) -> list[Text]:
        return self._shape.texts

    def fill(self, values: Values) -> list[tuple[str, str]]:
        """Return the pairs; those whose param was not given are left out."""
        return [
            (name, "" if each is None else written(each))
            for name, value in self._shape.fill(values).items()
            for each in (value if isinstance(value, list | tuple) else [value])
        ]


class Headers:
    """The headers of one call."""

    TAKES: Any = dict

    def __init__(self, headers: dict[str, Any]) -> None:
        for name, value in headers.items():
            if not _NAME_OF_HEADER.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a header")
            if not isinstance(value, str) or not value.isprintable():
                raise ValueError(f"{name} must be one line of text")
        self._headers = {name: Text(value) for name, value in headers.items()}

    @property
    def texts(self) -> list[Text]:
        return list(self._headers.values())

    def fill(self, values: Values) -> dict[str, str]:
        """Return the headers; raises UnfitError for a value of two lines."""
        filled = {
            name: text.fill(values, _in_header) for name, text in self._headers.items()
        }
        return {name: text for name, text in filled.items() if text is not UNSET}


class Body:
    """A text that is sent as the whole body."""

    def __init__(self, text: str) -> None:
        self.text = Text(text)

    @property
    def texts(self) -> list[Text]:
        return [self.text]

    def fill(self, values: Values) -> str:
        text = self.text.fill(values, lambda _, value: written(value))
        if text is UNSET:  # the loader sees to it
            raise UnfitError(Placeholder("params"), "is missing in the text")
        return str(text)


def quoted(text: str) -> str:
    """Return a text as one part of a path, or as one value of a query."""
    return quote(text, safe="")


def _as_address(placeholder: Placeholder, value: Any) -> str:
    address = str(value)
    if not address.startswith("/"):  # it would be a part of the host's name
        raise UnfitError(placeholder, "is not an address")
    return address


def _in_path(placeholder: Placeholder, value: Any) -> str:
    for each in value if isinstance(value, list | tuple) else [value]:
        text = written(each)
        if not text or {".", ".."} & set(_STEP.split(text)):
            raise UnfitError(placeholder, "cannot be a part of an address")
    if placeholder.root == "ref/":
        return quote(written(value), safe="/")
    return _escaped(placeholder, value)


def _escaped(placeholder: Placeholder, value: Any) -> str:
    if placeholder.root == "refs" and not placeholder.how:
        return ",".join(quoted(written(each)) for each in value)
    return quoted(written(value))


def _in_header(placeholder: Placeholder, value: Any) -> str:
    text = written(value)
    if not text.isprintable():
        raise UnfitError(placeholder, "must be one line of text")
    return text
