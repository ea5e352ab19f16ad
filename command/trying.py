"""Reads a saved answer as a recipe tells, without its service."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import msgspec

from actors.backends import BackendError, Handle
from actors.backends.answer import HttpAnswer
from actors.backends.answers import Reader, Unknown
from actors.backends.documents import document
from actors.recipes.format import Recipe


class Tried(NamedTuple):
    """What an answer says for us, as a line; `is_read` is false if it says nothing."""

    text: str
    is_read: bool


def tried(recipe: Recipe, body: bytes) -> Tried:
    """Read one answer to the status call."""
    logging.disable(logging.ERROR)  # the line says it
    try:
        report = _read(recipe, HttpAnswer(200, {}, body))
    except Unknown:
        return Tried("the service does not know the job", True)
    except BackendError as error:
        return Tried(f"{error.code}: {error.message}", False)
    finally:
        logging.disable(logging.NOTSET)
    fields: dict[str, Any] = msgspec.structs.asdict(report)
    fields["progress"] = report.percentage
    known = {k: v for k, v in fields.items() if v not in (None, {}) and k != "is_seen"}
    return Tried(msgspec.json.encode(known).decode(), True)


def _read(recipe: Recipe, answer: HttpAnswer) -> Any:
    reader, job = Reader(recipe), Handle("saved")
    if recipe.status.calls:
        return reader.one(document(answer), job)
    return reader.answered(answer, job)
