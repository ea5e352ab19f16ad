"""Reads the bodies of answers: JSON with the slips that services make, and errors."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from actors.json_input import TooDeepError, parse_json
from actors.limits import MAX_MESSAGE_CHARACTERS

from . import BackendError
from .answer import HttpAnswer

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# A string that lacks its end is one, too: looking for it again would take for ever.
_TOKEN = re.compile(
    rb'"(?:[^"\\]|\\.)*+"?'
    rb"|-?\b(?:NaN|Infinity)\b"
    rb"|(?<![\d.])(?P<number>-?\d++(?:\.\d++)?[eE]\+?\d{3,9})",
    re.DOTALL,
)
# Each escape in a string, so that the second half of `\\ud83d` is not taken for one.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb'|\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])'
    rb"|(?P<slash>\\)"
    rb"|(?P<control>[\x00-\x1f])"
)


def document(answer: HttpAnswer, *, is_bulk: bool = False) -> Any:
    """Parse an answer; raises a transient BackendError if it is not JSON.

    The items of a bulk answer are each checked for their nesting later.
    """
    try:
        return parsed(answer.body, is_checked=not is_bulk)
    except TooDeepError as error:
        raise BackendError(
            "unexpected_answer",
            "The service answered with JSON that is nested too deep.",
        ) from error
    except ValueError as error:
        raise BackendError(
            "unexpected_answer", "The service answered with something that is not JSON."
        ) from error


def parsed(body: bytes, *, is_checked: bool = True) -> Any:
    """Parse JSON; one bad character in a message does not hide the rest.

    A mark at the beginning is skipped (RFC 8259, section 8.1). Half a surrogate pair,
    and bytes that are not UTF-8, become U+FFFD. Control characters and backslashes are
    taken as they are, and NaN, as Python writes it, as null. Raises ValueError.
    """
    if body.startswith(_UTF_16_MARKS):
        body = body.decode("utf-16", "replace").encode()
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        return parse_json(body, is_checked=is_checked)
    except TooDeepError:
        raise
    except ValueError:
        return parse_json(_mended(body), is_checked=is_checked)


def reason(said: Any) -> str | None:
    """A sentence out of the common shapes of JSON errors, RFC 9457's first."""
    if not isinstance(said, dict):
        return None
    error = said.get("error")
    nested = error.get("message") if isinstance(error, dict) else error
    return text(said.get("detail")) or text(nested) or text(said.get("message"))


def text(value: Any) -> str | None:
    return value[:MAX_MESSAGE_CHARACTERS] if isinstance(value, str) and value else None


def retry_after(value: str | None) -> float | None:
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


def _mended(body: bytes) -> bytes:
    return _TOKEN.sub(_mended_token, body.decode("utf-8", "replace").encode())


def _mended_token(token: re.Match[bytes]) -> bytes:
    if token[0].startswith(b'"'):
        return _ESCAPE.sub(_mended_escape, token[0])
    is_finite = token["number"] and math.isfinite(float(token["number"]))
    return token[0] if is_finite else b"null"


def _mended_escape(escape: re.Match[bytes]) -> bytes:
    if escape["half"]:
        return rb"\ufffd"
    if escape["slash"]:
        return rb"\\"
    if escape["control"]:
        return rb"\u%04x" % ord(escape["control"])
    return escape[0]
