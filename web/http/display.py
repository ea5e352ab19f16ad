"""A job's values as a page writes them; `static/format.js` writes the same.

`tests/static/display_cases.json` holds both to one table of cases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

STEPS_SHOWN = 50
_THOUSANDTH, _TENTH = Decimal("0.001"), Decimal("0.1")
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_WRITTEN_AS_1000 = 999.95  # with one decimal
_WEB_ADDRESS = re.compile(r"(/(?!/)|https?://)[^\\\x00-\x1f]*")


def read(snapshot: bytes) -> dict[str, Any]:
    """Decode a snapshot for the page."""
    job: dict[str, Any] = _DECODER.decode(snapshot)
    return job


def _number(digits: str) -> float:
    """1.0 is 1, as it is to the page's scripts."""
    number = float(digits)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


_DECODER = msgspec.json.Decoder(float_hook=_number)


def elapsed(job: Mapping[str, Any], now: str) -> str:
    """How long a job has taken, and what that counts: `running for 12:34`."""
    status, created, started = job["status"], job["created_at"], job.get("started_at")
    finished, adopted = job.get("finished_at"), job.get("adopted")
    is_queued = not adopted and (status == "queued" or not started)
    start = created if is_queued else started or created
    time = _clock(seconds_until(start, finished or now))
    if adopted:
        return f"watched for {time}"
    if is_queued:
        return f"queued for {time}"
    if finished:
        return f"took {time}"
    return f"started {time} ago" if status == "paused" else f"running for {time}"


def _clock(seconds: int) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}"


def seconds_until(start: str, end: str) -> int:
    """The whole seconds between two times; none if the clocks disagree."""
    between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return max(0, int(between.total_seconds()))


def number(value: float, step: Decimal = _THOUSANDTH) -> str:
    """`1,234.568`: commas, and three decimals at most, or those of `step`."""
    if value == int(value):
        return f"{int(value):,}"
    rounded = Decimal(repr(value)).quantize(step, ROUND_HALF_UP)
    return f"{rounded:,f}".rstrip("0").rstrip(".")


def amount(job: Mapping[str, Any]) -> str:
    """How much is done: `7 / 9 rows`, `19.2 MB of 4.3 GB`; nothing if unknown."""
    done, total, unit = job.get("done"), job.get("total"), job.get("unit")
    if done is None:
        return ""
    write, between = (_bytes, " of ") if unit == "bytes" else (number, " / ")
    said = between.join(write(each) for each in (done, total) if each is not None)
    return f"{said} {unit}" if unit and unit != "bytes" else said


def _bytes(size: float) -> str:
    """`512 B`, `19.2 MB`: in thousands, with one decimal at most."""
    units = iter(_BYTES)
    unit = next(units)
    while abs(size) >= _WRITTEN_AS_1000 and unit != _BYTES[-1]:
        size, unit = size / 1000, next(units)
    return f"{number(size, _TENTH)} {unit}"


def status_text(job: Mapping[str, Any]) -> str:
    """A job's status, with its place if it waits in a queue."""
    status, place = job.get("status", ""), job.get("queue_place")
    return f"{status}, place {place}" if status == "queued" and place else str(status)


def steps_done(job: Mapping[str, Any]) -> str:
    """How many of a job's steps are done; nothing if it has none."""
    shown = (job.get("steps") or [])[:STEPS_SHOWN]
    done = sum(step.get("status") == "succeeded" for step in shown)
    return f"{done} of {len(shown)} steps done" if shown else ""


def step_state(step: Mapping[str, Any]) -> str:
    """How a step is, in words: `running, 40%`."""
    status, progress = step.get("status"), step.get("progress")
    is_told = progress is not None and status != "succeeded"
    said = [status or "", f"{progress}%" if is_told else ""]
    return ", ".join(filter(None, said)) or "not known"


def text(value: object) -> str:
    """A value of any JSON type, in one line."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def indented(job: Mapping[str, Any]) -> str:
    """The snapshot for people, its fields in their own order."""
    return msgspec.json.format(msgspec.json.encode(job), indent=2).decode()


def web_address(url: object) -> str:
    r"""The address, or nothing if a link to it could lead astray.

    A browser reads a backslash as a slash and leaves out a line break, so that
    either can turn a path into another server's address.
    """
    return url if isinstance(url, str) and _WEB_ADDRESS.fullmatch(url) else ""
