"""The questions of `progrock recipe new`: each is a flag, too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from yarl import URL

from actors.recipes.expression import Expression
from actors.recipes.parts import RequestLine

from .samples import Sample

NONE = "-"
HEADER, LINK = "header:", "link:"
PARAM_TYPES = ("string", "integer", "number", "boolean")
_PARAM = re.compile(r"[A-Za-z_][\w-]*(:(" + "|".join(PARAM_TYPES) + "))?")

Answers = Mapping[str, str]


class Question(NamedTuple):
    """One question. `check` raises ValueError for an answer that cannot be used.

    `default` is a text, which may have earlier answers in it, such as `{status}`.
    An answer is only asked for if all that it `needs` were given.
    """

    name: str
    title: str
    says: str
    default: str
    check: Callable[[str], object] = str
    needs: tuple[str, ...] = ()
    may_be_empty: bool = True


def words(text: str) -> list[str]:
    """Return the parts of a text with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_address(text: str) -> None:
    url = URL(text)
    if "${" not in text and not (url.scheme in ("http", "https") and url.host):
        raise ValueError("It must be an http or https address.")


def _is_authorization(text: str) -> None:
    if text not in ("none", "bearer", "basic"):
        raise ValueError("It must be none, bearer or basic.")


def _is_file(text: str) -> None:
    Sample.read(Path(text))


def _is_body(text: str) -> None:
    if text not in ("json", "form", "query"):
        raise ValueError("It must be json, form or query.")


def _are_params(text: str) -> None:
    if wrong := next((p for p in words(text) if not _PARAM.fullmatch(p)), None):
        kinds = ", ".join(PARAM_TYPES)
        raise ValueError(f"{wrong!r} must be a name, or name:type with one of {kinds}.")


def _is_ref(text: str) -> None:
    if text.startswith(HEADER):
        if not re.fullmatch(r"[\w-]+", text.removeprefix(HEADER)):
            raise ValueError("It must be header: and a name, as in header:Location.")
    else:
        Expression(text.removeprefix(LINK))


QUESTIONS = (
    Question(
        "title",
        "Title",
        "How people call this kind of job.",
        "{name}",
        may_be_empty=False,
    ),
    Question(
        "url",
        "Address",
        "Where the service is; a variable can replace it later.",
        "http://127.0.0.1:8000",
        _is_address,
        may_be_empty=False,
    ),
    Question(
        "auth",
        "Login",
        "How it knows us: none, bearer (a token) or basic (a user).",
        "none",
        _is_authorization,
        may_be_empty=False,
    ),
    Question(
        "answer",
        "Saved answer",
        "A file with an answer to the status call, as JSON; expressions are then "
        "suggested.",
        "",
        _is_file,
    ),
    Question(
        "start",
        "Start",
        "Method and path of the call that starts a job.",
        "POST /jobs",
        RequestLine,
        may_be_empty=False,
    ),
    Question(
        "params",
        "Params",
        "What people may choose, with commas: source, pages:integer.",
        "",
        _are_params,
    ),
    Question(
        "body",
        "Body",
        "How the params are sent: json, form or query.",
        "json",
        _is_body,
        ("params",),
        may_be_empty=False,
    ),
    Question(
        "ref",
        "Id",
        "Where the answer to the start has the job's id: an expression, "
        "header:Location, or link: and an expression if it is an address.",
        "id",
        _is_ref,
        may_be_empty=False,
    ),
    Question(
        "status",
        "Status",
        "Method and path that ask for a job; {ref} is its id.",
        "GET {path}",
        RequestLine,
        may_be_empty=False,
    ),
    Question(
        "state",
        "State",
        "Where that answer has the word for the state.",
        "status",
        Expression,
        may_be_empty=False,
    ),
    Question(
        "queued",
        "Words for queued",
        "The job waits there. Several with commas.",
        "queued",
    ),
    Question("running", "Words for running", "The job is under way.", "running"),
    Question("paused", "Words for paused", "The job has been paused.", ""),
    Question(
        "succeeded",
        "Words for succeeded",
        "The job has ended well.",
        "succeeded",
        may_be_empty=False,
    ),
    Question("failed", "Words for failed", "The job has ended badly.", "failed"),
    Question("cancelled", "Words for cancelled", "The job was stopped.", "cancelled"),
    Question(
        "percent",
        "Percentage",
        "Where the answer has a percentage, 0 to 100.",
        "",
        Expression,
    ),
    Question(
        "fraction", "Fraction", "Where it has a fraction, 0 to 1.", "", Expression
    ),
    Question("done", "Done", "Where it has how much is done.", "", Expression),
    Question("total", "Total", "Where it has of how much.", "", Expression, ("done",)),
    Question(
        "message", "Message", "Where it has a sentence on the work.", "", Expression
    ),
    Question("error", "Reason", "Where it has why a job failed.", "", Expression),
    Question(
        "cancel",
        "Stop",
        "Method and path that stop a job, as in DELETE {path}.",
        "",
        RequestLine,
    ),
    Question(
        "pause",
        "Pause",
        "Method and path that pause a job.",
        "",
        RequestLine,
        ("paused",),
    ),
    Question(
        "resume",
        "Resume",
        "Method and path that let it go on.",
        "POST {path}/resume",
        RequestLine,
        ("pause",),
        may_be_empty=False,
    ),
    Question(
        "result",
        "Result",
        "Method and path of the file that a job made.",
        "",
        RequestLine,
    ),
)
