"""The pages: right before any JavaScript runs, and whole without it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
from quart import Blueprint, Quart, Response, redirect, render_template, request
from werkzeug.wrappers import Response as WerkzeugResponse

from actors.job import timestamp
from actors.store import now_ms
from web.http.json_input import parsed
from web.http.problems import Problem
from web.owners.headers import visitor
from web.owners.jobs import desk

JOBS_SHOWN = 20

pages = Blueprint("pages", __name__)


def install(app: Quart) -> None:
    """Teach the templates what they need."""
    filters = (elapsed, seconds_until, number, text, indented, web_address)
    app.jinja_env.filters.update({each.__name__: each for each in filters})
    app.context_processor(_context)


@pages.get("/")
async def index() -> Response:
    return await _index()


@pages.post("/start")
async def start() -> Response | WerkzeugResponse:
    form = (await request.form).to_dict()
    name = form.pop("backend", "")
    params = _typed(form, desk().backend(name).params["properties"])
    try:
        job = await desk().start(visitor(), name, params)
    except Problem as problem:
        refused = {"backend": name, "message": problem.detail, "values": form}
        return await _index(refused, problem.status)
    return redirect(f"/jobs/{job.job}", 303)


@pages.post("/jobs/<job>/cancel")
async def cancel(job: str) -> WerkzeugResponse:
    await desk().cancel(visitor(), job)
    return redirect(f"/jobs/{job}", 303)


async def job_page(job: str) -> Response:
    """One job as a page; raises a 404 Problem."""
    snapshot = await desk().snapshot(visitor(), job)
    page = await render_template(
        "job.html",
        job=read(snapshot.data),
        backends=desk().catalogue(),
    )
    return _html(page)


async def _index(
    refused: Mapping[str, Any] | None = None, status: int = 200
) -> Response:
    page = await desk().store.page(
        visitor().owner, status=None, limit=JOBS_SHOWN, cursor=None
    )
    html = await render_template(
        "index.html",
        backends=desk().catalogue(),
        default_backend=desk().settings.default_backend,
        jobs=[read(snapshot.data) for snapshot in page.snapshots],
        form_error=refused,
    )
    return _html(html, status)


def _html(page: str, status: int = 200) -> Response:
    response = Response(page, status, content_type="text/html; charset=utf-8")
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Accept")
    return response


async def _context() -> dict[str, Any]:
    return {"now": timestamp(now_ms())}


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
    """How long a job has taken: `0:07`, `12:34`, `1:02:03`."""
    start = job.get("started_at") or job["created_at"]
    minutes, seconds = divmod(seconds_until(start, job.get("finished_at") or now), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}"


def seconds_until(start: str, end: str) -> int:
    """The whole seconds between two times; none if the clocks disagree."""
    between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return max(0, int(between.total_seconds()))


def number(value: float) -> str:
    """`1,234.568`: commas, and three decimals at most."""
    if value == int(value):
        return f"{int(value):,}"
    rounded = Decimal(repr(value)).quantize(Decimal("0.001"), ROUND_HALF_UP)
    return f"{rounded:,f}".rstrip("0").rstrip(".")


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


_WEB_ADDRESS = re.compile(r"(/(?!/)|https?://)[^\\\x00-\x1f]*")


def _typed(form: Mapping[str, str], rules: Mapping[str, Any]) -> dict[str, Any]:
    """Read form fields as their JSON Schema wants them; an empty one is left out.

    A box that is not ticked sends nothing, which says no where yes is the default.
    """
    unticked = {
        name: False for name, rule in rules.items() if rule.get("default") is True
    }
    given = {
        name: _value(text, rules.get(name, {})) for name, text in form.items() if text
    }
    return {**unticked, **given}


def _value(text: str, rule: Mapping[str, Any]) -> Any:
    if rule.get("type") == "string":
        return text
    try:
        return parsed(text)
    except Problem:
        return text  # the schema says what is wrong with it
