"""Chooses the operations of a service that start, ask for and stop its jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .openapi import Document, OpenApiError, Operation
from .samples import Sample
from .schemas import Example
from .words import plain

MAX_OTHERS = 3
_STARTS = {
    *("start", "submit", "create", "run", "launch", "enqueue", "trigger", "new"),
    *("schedule", "execute", "process", "render", "convert", "begin"),
}
_JOBS = {
    *("job", "task", "run", "execution", "build", "operation", "process", "render"),
    *("export", "import", "batch", "transcode", "prediction", "workflow", "order"),
}
_NO_STARTS = {
    *(
        "login",
        "token",
        "auth",
        "search",
        "query",
        "filter",
        "webhook",
        "user",
        "count",
    ),
    *("cancel", "stop", "abort", "pause", "resume", "retry", "upload", "validate"),
}
ACTIONS = {
    "cancel": {
        "cancel",
        "stop",
        "abort",
        "terminate",
        "kill",
        "revoke",
        "cancellation",
    },
    "pause": {"pause", "suspend", "hold"},
    "resume": {"resume", "unpause", "continue", "unsuspend"},
}
_LAST = re.compile(r"\{([^{}]+)\}(?!.*\{)")


class Chosen(NamedTuple):
    """The operations of a job's life, and the others that came near."""

    start: Operation
    status: Operation
    actions: Mapping[str, Operation]
    others: Mapping[str, list[str]]

    @property
    def lines(self) -> Iterator[str]:
        """All that was chosen, and the other candidates, for people."""
        found = {"start": self.start, "status": self.status, **self.actions}
        for name, operation in found.items():
            near = ", ".join(self.others.get(name, ()))
            yield f"{name:8} {operation.line}" + (f"  (also: {near})" if near else "")
        if "cancel" not in found:
            yield "cancel   nothing looks like it"


def choose(document: Document, start: str | None, status: str | None) -> Chosen:
    """Return the best pair; `start` and `status`, as `POST /jobs`, narrow it.

    Raises OpenApiError if nothing looks like a start, or like a question.
    """
    by_line = {each.line: each for each in document.operations}
    starts = _ranked(document, "start", start)
    asks = _ranked(document, "status", status)
    pairs = {
        (a, b): starts[a] + asks[b] + _belong(a, b, by_line[a].says)
        for a in starts
        for b in asks
    }
    (best, ask) = max(pairs, key=lambda pair: pairs[pair])
    found = {name: _action(by_line, name, by_line[ask]) for name in ACTIONS}
    return Chosen(
        by_line[best],
        by_line[ask],
        {name: each for name, each in found.items() if each},
        {"start": _others(starts, best), "status": _others(asks, ask)},
    )


def _ranked(document: Document, part: str, wanted: str | None) -> dict[str, int]:
    rank = _starts if part == "start" else _asks
    methods = ("POST", "PUT") if part == "start" else ("GET",)
    able = [each for each in document.operations if each.method in methods]
    if part == "status":
        able = [each for each in able if "{" in each.path]
    if wanted:
        able = [each for each in able if each.line == wanted]
    if not able:
        named = f"is {wanted}" if wanted else f"looks like the {part} of a job"
        raise OpenApiError(f"No operation of the document {named}.")
    scores = {each.line: rank(document, each) for each in able}
    best = sorted(scores, key=lambda line: -scores[line])[:100]
    return {line: scores[line] for line in best}


def _starts(document: Document, operation: Operation) -> int:
    words = _words(operation.says)
    responses = operation.table.get("responses", {})
    return (
        3 * ("202" in responses)
        + ("201" in responses)
        + 2 * bool(words & _STARTS)
        + 2 * bool(words & _JOBS)
        - 5 * bool(words & _NO_STARTS)
        - 2 * (operation.path.endswith("}"))
        - 3 * bool(operation.table.get("deprecated"))
    )


def _asks(document: Document, operation: Operation) -> int:
    sample = sampled(document, operation)[1]
    words = _words(operation.says)
    return (
        3 * ("state" in sample.where)
        + ("percent" in sample.where or "total" in sample.where)
        + 2 * bool(words & _JOBS)
        + bool(words & {"status", "state", "progress"})
        - 3 * bool(operation.table.get("deprecated"))
    )


def sampled(document: Document, operation: Operation) -> tuple[Example, Sample]:
    """Return an example of an operation's answer, and the fields found in it."""
    schema = document.body(document.answer(operation))
    example = Example(document, schema)
    return example, Sample(example.value)


def _belong(start: str, status: str, says: str) -> int:
    """How likely it is that the status is asked of jobs that this start begins."""
    begin, path = start.partition(" ")[2].rstrip("/"), status.partition(" ")[2]
    if re.fullmatch(
        re.escape(begin) + r"/\{[^{}]+\}(/(status|state|progress))?/?", path
    ):
        return 6
    above = base(path).rpartition("/{")[0]
    thing = plain(above.rpartition("/")[2]).removesuffix("s")
    words = "_" + plain(says)
    return (4 if thing and f"_{thing}" in words else 0) + len(_shared(begin, path))


def _shared(one: str, other: str) -> set[str]:
    return {part for part in one.split("/") if part and part in other.split("/")}


def base(path: str) -> str:
    """Return a path up to its last name in braces, which is that of the job."""
    match = _LAST.search(path)
    return path[: match.end()] if match else path


def _action(
    by_line: Mapping[str, Operation], name: str, status: Operation
) -> Operation | None:
    """A word in the path counts; without one, DELETE of the job is a stop."""
    below = _blank(base(status.path))
    for operation in by_line.values():
        rest = _blank(operation.path).removeprefix(below)
        is_below = _blank(operation.path) != rest and operation.method != "GET"
        if is_below and _words(rest) & ACTIONS[name]:
            return operation
    deletes = (each for each in by_line.values() if each.method == "DELETE")
    same = (each for each in deletes if _blank(each.path).rstrip("/") == below)
    return next(same, None) if name == "cancel" else None


def _blank(path: str) -> str:
    """A name in braces may be another one in each operation."""
    return re.sub(r"\{[^{}]*\}", "{}", path)


def _words(text: str) -> set[str]:
    words = plain(text).split("_")
    return {*words, *(word.removesuffix("s") for word in words)}


def _others(scores: Mapping[str, int], chosen: str) -> list[str]:
    rest: Iterable[str] = (line for line in scores if line != chosen)
    return list(rest)[:MAX_OTHERS]
