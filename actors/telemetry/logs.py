"""Lines of log: text for people, or one JSON object each for programs.

A line that begins with `Job %s` is about a job, others may be (`extra=about(job_id)`);
one that is written while a request is answered has the request's id.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import msgspec

from actors.clock import timestamp

_writes_json = False

request_id: ContextVar[str] = ContextVar("request_id", default="")

_encode = msgspec.json.Encoder().encode

logger = logging.getLogger(__name__)


def about(job_id: str | None, **fields: Any) -> dict[str, Any]:
    """The `extra` of a line about a job; `fields` stand in its JSON object."""
    return {"job": job_id, "fields": fields}


class TextLines(logging.Formatter):
    """`2026-01-01T12:00:00.000Z INFO web.health: It is so. [job=… request=…]`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's
        ids = " ".join(f"{name}={text}" for name, text in ids_of(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.message}"
        return f"{line} [{ids}]" if ids else line


class JsonLines(logging.Formatter):
    """The same as an object; `cause` is the error in one line."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _whole(record.getMessage()),
            "pid": record.process,
            **ids_of(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and (error := record.exc_info[1]):
            said["cause"] = _whole(f"{type(error).__name__}: {error}")
            said["traceback"] = _whole(self.formatException(record.exc_info))
        return _encode(said).decode()


def set_up(environ: Mapping[str, str] = os.environ) -> None:
    """Write all lines of this process as `PROGROCK_LOG` says.

    Dramatiq has set a handler by then, others have not.
    """
    global _writes_json
    _writes_json = is_json = environ.get("PROGROCK_LOG") == "json"
    root = logging.getLogger()
    if not root.handlers:
        logging.basicConfig(level=logging.INFO)
    for handler in root.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stderr)  # in a worker, a pipe to its master
            handler.setFormatter(JsonLines() if is_json else TextLines())
    if is_json:
        logging.captureWarnings(True)
        sys.excepthook = _log_error
        threading.excepthook = lambda args: _log_error(
            args.exc_type, args.exc_value, args.exc_traceback
        )


@contextmanager
def last_words() -> Iterator[None]:
    """Write the sentence with which the process ends as the other lines are written."""
    try:
        yield
    except SystemExit as end:
        if not _writes_json or not isinstance(end.code, str):
            raise
        logger.critical("%s", end.code)
        sys.exit(1)


def _log_error(
    kind: type[BaseException],
    error: BaseException | None,
    trace: TracebackType | None,
) -> None:
    if error is not None and not issubclass(kind, SystemExit):
        logger.critical("The program has failed.", exc_info=(kind, error, trace))


def ids_of(record: logging.LogRecord) -> dict[str, str]:
    """The job and the request that a line is about, if there are."""
    ids = {"job": _job_of(record), "request": request_id.get()}
    return {name: text for name, text in ids.items() if text}


def _job_of(record: logging.LogRecord) -> str | None:
    is_named = str(record.msg).startswith("Job %s") and isinstance(record.args, tuple)
    job: str | None = record.args[0] if is_named else getattr(record, "job", None)  # type: ignore[index,assignment]  # a tuple
    return job


def _time(record: logging.LogRecord) -> str:
    return timestamp(int(record.created * 1000))


def _whole(text: str) -> str:
    """Half a character, as from a client's escapes, has no place in JSON."""
    return text.encode(errors="replace").decode()
