"""Reads a backend's answers as its recipe tells: a document becomes a Report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from actors.recipes.calls import Every
from actors.recipes.expression import Expression
from actors.recipes.format import Recipe
from actors.status import Failure, Status

from . import AbsentError, BackendError, Handle, Report
from .answer import HttpAnswer
from .documents import parsed, reason, retry_after, text
from .facts import Facts
from .failures import not_understood
from .fields import fields
from .steps import StepsReader

_NOT_NOW = (408, 425, 429, 503)
_UNKNOWN_THERE = (404, 410)
_EPOCH = ".epoch"  # no kept value can have this name


class Unknown(Exception):  # noqa: N818 - it is no error, the job may be there soon
    """An answer says that the service does not know the job."""

    def __init__(self, answer: HttpAnswer) -> None:
        self.retry_after_s = retry_after(answer.headers.get("Retry-After"))


class Reader:
    """Reads the answers of one kind of service."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._states = recipe.status.compiled()
        rule = recipe.status
        self._absent_statuses = rule.absent.statuses or tuple(
            status for status in rule.final if status in _UNKNOWN_THERE
        )
        self._claims = recipe.cancel.claims if recipe.cancel else ()
        self._looks_closer = bool(
            rule.absent.when or rule.refused.when or self._claims or rule.epoch
        )
        self._fields = fields(rule)
        self._steps = StepsReader(rule.steps, rule.states) if rule.steps else None
        texts = [where.text for where in rule.expressions.values()]
        values = [where.text for where in recipe.result.values.values()]
        self._facts = Facts([*texts, *values], rule.calls)

    def answered(self, answer: HttpAnswer, handle: Handle) -> Report:
        """Read an answer to the status call; raises BackendError."""
        try:
            return self.one(self.said(answer, self._recipe.status), handle)
        except Unknown as unknown:
            return self.absent(handle, unknown.retry_after_s)

    def said(self, answer: HttpAnswer, call: Every, name: str = "") -> Any:
        """Return what a status call has answered, as expressions read it.

        `name` is that of one of several calls. Raises BackendError and Unknown.
        """
        rule = self._recipe.status
        if answer.status == 200 or call.accepts(answer.status):
            said = self._facts.document(answer, name)
            if name:
                self._check_is_no_refusal(said, call)
            return said
        if answer.status in self._absent_statuses:
            raise Unknown(answer)
        if _is_said(rule.absent.when, _parsed(answer)):
            raise Unknown(answer)
        is_final = answer.status in rule.final and answer.status not in _UNKNOWN_THERE
        raise self.refusal(answer, call, permanent=is_final)

    def one(self, said: Any, handle: Handle) -> Report:
        """Read one job's document; raises BackendError."""
        if not self._looks_closer:
            return self.report(said)
        when = self._recipe.status.absent.when
        self._check_is_no_refusal(said, self._recipe.status)
        if when and when.holds(said):
            return self.absent(handle)
        report = self._of_same_epoch(self.report(said), said, handle)
        if handle.is_stopped and report.status in self._claims:
            return Report(status=Status.CANCELLED, unit=report.unit)
        return report

    def _check_is_no_refusal(self, said: Any, call: Every) -> None:
        """Raise BackendError for a refusal, unless it says that the job is absent."""
        refusal = self.refused(said, call, permanent=False)
        if refusal and not _is_said(self._recipe.status.absent.when, said):
            raise refusal

    def _of_same_epoch(self, report: Report, said: Any, handle: Handle) -> Report:
        """A service that was started again has another epoch, and has lost the job."""
        where = self._recipe.status.epoch
        epoch = where.find(said) if where else None
        if not isinstance(epoch, str | int | float):
            return report
        if handle.kept.get(_EPOCH, epoch) != epoch:
            title = self._recipe.title
            message = f"{title} was started again and has lost this job."
            raise BackendError("lost", message, permanent=True)
        return replace(report, kept={_EPOCH: epoch})

    def report(self, document: Any) -> Report:
        """Read one job's status; raises a transient BackendError."""
        status = self._states.find(document)
        if status is None:
            raise not_understood(self._recipe.title)
        found = {name: read(find(document)) for name, find, read in self._fields}
        if self._steps:
            found["steps"], mean = self._steps.read(document)
            if found.get("progress") is None and found.get("done") is None:
                found["progress"] = mean
        ended_well = status is Status.SUCCEEDED
        return Report(
            status=status,
            unit=self._recipe.unit,
            result=self._values(document) if ended_well else None,
            file=self._file() if ended_well else None,
            error=self._error(document) if status is Status.FAILED else None,
            **found,
        )

    def absent(self, handle: Handle, retry_after_s: float | None = None) -> Report:
        """The service does not know the job: not yet, or no longer, or as its end.

        Raises AbsentError unless the recipe says that it is too early.
        """
        rule = self._recipe.status.absent
        if rule.within_s and _age_s(handle) < rule.within_s:
            early = Report(status=Status.QUEUED, is_seen=False)
            return replace(early, retry_after_s=retry_after_s)
        message = f"{self._recipe.title} no longer knows this job."
        raise AbsentError(message, Status(rule.means), retry_after_s)

    def refusal(
        self, answer: HttpAnswer, call: Every, *, permanent: bool
    ) -> BackendError:
        """Return the error that an answer other than a success stands for."""
        said = _parsed(answer)
        own = call.refused.says and text(call.refused.says.find(said))
        return BackendError(
            f"http_{answer.status}",
            own
            or reason(said)
            or f"{self._recipe.title} answered with {answer.status}.",
            permanent=permanent and answer.status not in _NOT_NOW,
            retry_after_s=retry_after(answer.headers.get("Retry-After")),
        )

    def refused(
        self, said: Any, call: Every, *, permanent: bool
    ) -> BackendError | None:
        """Return an error if a document is a refusal, whatever its HTTP status is."""
        rule = call.refused
        if rule.when is None or not rule.when.holds(said):
            return None
        own = rule.says and text(rule.says.find(said))
        return BackendError(
            "refused",
            own or reason(said) or f"{self._recipe.title} has refused.",
            permanent=permanent,
        )

    def refused_by(self, answer: HttpAnswer, call: Every) -> BackendError | None:
        """Return a permanent error if an answer is a refusal by `refused.when`."""
        when = call.refused.when
        if when is None:
            return None
        said = _parsed(answer)
        if said is None or not (call.accepts(answer.status) or _is_said(when, said)):
            return None
        return self.refused(said, call, permanent=True)

    def _values(self, document: Any) -> dict[str, Any] | None:
        if self._recipe.result.call:  # another answer has them
            return None
        values = self._recipe.result.values
        return {name: value.find(document) for name, value in values.items()}

    def _file(self) -> str | None:
        rule = self._recipe.result
        return rule.content_type if rule.request else None

    def _error(self, document: Any) -> Failure:
        where = self._recipe.status.error
        said = text(where.find(document)) if where else None
        return Failure(
            "backend_failed", said or f"{self._recipe.title} could not finish it."
        )


def _parsed(answer: HttpAnswer) -> Any:
    try:
        return parsed(answer.body)
    except ValueError:
        return None


def _is_said(when: Expression | None, said: Any) -> bool:
    """True if `when` holds, and not only for something is lacking.

    Any error of a proxy lacks all that an answer has: `!state` holds for it, too.
    """
    return bool(when and when.holds(said) and not when.holds({}))


def _age_s(handle: Handle) -> float:
    """Seconds since the job was started."""
    if handle.started_at is None:
        return 0
    started = datetime.fromisoformat(handle.started_at)
    return (datetime.now(UTC) - started).total_seconds()
