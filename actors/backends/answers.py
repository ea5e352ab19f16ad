"""Reads a backend's answers as its recipe tells: a document becomes a Report."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from actors.json_input import TooDeepError, parse_json
from actors.limits import MAX_MESSAGE_CHARACTERS, MAX_NUMBER
from actors.recipes.format import Recipe
from actors.status import Failure, Status

from . import BackendError, Report
from .client import HttpAnswer

_NOT_NOW = (408, 425, 429, 503)

logger = logging.getLogger(__name__)


class Reader:
    """Reads the answers of one kind of service."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._statuses = recipe.status.statuses

    def report(self, document: Any) -> Report:
        """Read one job's status; raises a transient BackendError."""
        rule = self._recipe.status
        word = rule.state.find(document)
        status = self._statuses.get(word) if isinstance(word, str) else None
        if status is None:
            raise not_understood(self._recipe.title)
        ended_well = status is Status.SUCCEEDED
        return Report(
            status=status,
            progress=_number(rule.progress and rule.progress.find(document)),
            done=_number(rule.done and rule.done.find(document)),
            total=_number(rule.total and rule.total.find(document)),
            unit=self._recipe.unit,
            message=_text(rule.message and rule.message.find(document)),
            result=self._values(document) if ended_well else None,
            file=self._file() if ended_well else None,
            error=self._error(document) if status is Status.FAILED else None,
        )

    def refusal(self, answer: HttpAnswer, *, permanent: bool) -> BackendError:
        """Return the error that an answer other than a success stands for."""
        return BackendError(
            f"http_{answer.status}",
            _reason(answer.body)
            or f"{self._recipe.title} answered with {answer.status}.",
            permanent=permanent and answer.status not in _NOT_NOW,
            retry_after_s=_retry_after(answer.headers.get("Retry-After")),
        )

    def no_ref(self) -> BackendError:
        return BackendError(
            "unexpected_answer",
            f"{self._recipe.title} did not say where the job is.",
            permanent=True,
        )

    def gone(self) -> BackendError:
        return BackendError(
            "gone", f"{self._recipe.title} no longer knows this job.", permanent=True
        )

    def _values(self, document: Any) -> dict[str, Any]:
        values = self._recipe.result.values
        return {name: value.find(document) for name, value in values.items()}

    def _file(self) -> str | None:
        rule = self._recipe.result
        return rule.content_type if rule.request else None

    def _error(self, document: Any) -> Failure:
        rule = self._recipe.status.error
        said = _text(rule and rule.find(document))
        return Failure(
            "backend_failed", said or f"{self._recipe.title} could not finish it."
        )


def document(answer: HttpAnswer, *, is_bulk: bool = False) -> Any:
    """Parse an answer; raises a transient BackendError if it is not JSON.

    The items of a bulk answer are each checked for their nesting later.
    """
    try:
        return parse_json(answer.body, is_checked=not is_bulk)
    except TooDeepError as error:
        raise BackendError(
            "unexpected_answer",
            "The service answered with JSON that is nested too deep.",
        ) from error
    except ValueError as error:
        raise BackendError(
            "unexpected_answer", "The service answered with something that is not JSON."
        ) from error


def not_understood(title: str, cause: Exception | None = None) -> BackendError:
    """A transient error, for the next answer may be better. The log has the cause."""
    if cause:
        logger.error("An answer of %s could not be read.", title, exc_info=cause)
    return BackendError(
        "unexpected_answer",
        f"{title} answered with something that we do not understand.",
    )


def _number(value: Any) -> int | float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) <= MAX_NUMBER else None


def _text(value: Any) -> str | None:
    return value[:MAX_MESSAGE_CHARACTERS] if isinstance(value, str) and value else None


def _reason(body: bytes) -> str | None:
    """A sentence out of the common shapes of JSON errors, RFC 9457's first."""
    try:
        said = parse_json(body)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    error = said.get("error")
    nested = error.get("message") if isinstance(error, dict) else error
    return _text(said.get("detail")) or _text(nested) or _text(said.get("message"))


def _retry_after(value: str | None) -> float | None:
    """Seconds out of a Retry-After header: a number, or a date (RFC 9110 §10.2.3)."""
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value).replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # such as a year with 20 digits
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
