"""A recipe: how to talk to one kind of third party, read from TOML and checked."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from jsonschema import Draft202012Validator, SchemaError
from yarl import URL

from actors.job import Status

from .expression import Expression

_VARIABLE = re.compile(
    r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
)
_REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) ((?:/|\{ref\})\S*)")

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Milliseconds = Annotated[int, msgspec.Meta(ge=50, le=3_600_000)]


class RecipeError(Exception):
    """A recipe cannot be used; the message names the file and the key."""


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


class Answer(Part, frozen=True, kw_only=True):
    """How a status answer reads: their words for each of our statuses, and where
    the rest stands."""

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


class StatusCall(Answer, frozen=True, kw_only=True):
    request: RequestLine
    final: tuple[Annotated[int, msgspec.Meta(ge=400, le=599)], ...] = (404, 410)


class BulkCall(Part, frozen=True, kw_only=True):
    """One call for many jobs: `{refs}` in the path is their ids, with commas."""

    request: RequestLine
    items: Expression
    ref: Expression
    batch_size: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 100


class Cancel(Part, frozen=True, kw_only=True):
    request: RequestLine


class Result(Part, frozen=True, kw_only=True):
    """What a succeeded job made: a file to fetch, or values out of its last answer."""

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
    cancel: Cancel | None = None
    result: Result = Result()

    @property
    def refs_are_addresses(self) -> bool:
        calls = (self.status, self.cancel, self.result)
        return any(c.request.takes_address for c in calls if c and c.request)


def load_recipe(path: Path, environ: Mapping[str, str] = os.environ) -> Recipe:
    """Read one recipe; raises RecipeError, which names the file and the key."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        document = _filled_in(document, environ, "$")
        recipe = msgspec.convert(document, Recipe, dec_hook=_decode)
        return _checked(recipe)
    except (OSError, UnicodeDecodeError, ValueError, SchemaError) as error:
        raise RecipeError(f"{path}: {_in_one_line(error)}") from error


def _decode(kind: type, value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
    return kind(value)


def _filled_in(value: Any, environ: Mapping[str, str], key: str) -> Any:
    """Replace `${NAME}` and `${NAME:-default}` in every string."""
    if isinstance(value, dict):
        return {k: _filled_in(v, environ, f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_filled_in(v, environ, f"{key}[{n}]") for n, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        text = environ.get(match["name"]) or match["default"]
        if text is None:
            raise ValueError(f"the variable {match['name']} is not set - at `{key}`")
        return text

    return _VARIABLE.sub(fill, value)


def _checked(recipe: Recipe) -> Recipe:
    if not _is_web_address(recipe.url):
        raise ValueError("must be an http or https address - at `$.url`")
    for name, value in recipe.headers.items():
        if not value.isprintable():
            raise ValueError(f"must be one line of text - at `$.headers.{name}`")
    for status in (Status.SUCCEEDED, Status.FAILED):
        if not recipe.status.states.get(status):
            raise ValueError(f"needs a word for {status} - at `$.status.states`")
    if len(recipe.status.statuses) < sum(map(len, recipe.status.states.values())):
        raise ValueError("has the same word twice - at `$.status.states`")
    if "{ref}" not in recipe.status.request.path:
        raise ValueError("needs {ref} in its path - at `$.status.request`")
    if recipe.bulk and "{refs}" not in recipe.bulk.request.path:
        raise ValueError("needs {refs} in its path - at `$.bulk.request`")
    Draft202012Validator.check_schema(params_schema(recipe))
    return recipe


def _is_web_address(text: str) -> bool:
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


def params_schema(recipe: Recipe) -> dict[str, Any]:
    """Return the JSON Schema of the params: an object that takes nothing unnamed."""
    return {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
        **recipe.params,
    }


def _in_one_line(error: Exception) -> str:
    if isinstance(error, SchemaError):
        where = ".".join(["$.params", *map(str, error.absolute_path)])
        return f"{error.message} - at `{where}`"
    return " ".join(str(error).split())
