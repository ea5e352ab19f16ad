"""The pages: right before any JavaScript runs, and whole without it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
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
    app.jinja_env.filters["elapsed"] = elapsed
    app.jinja_env.filters["silent_s"] = silent_s
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
        job=msgspec.json.decode(snapshot.data),
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
        jobs=[msgspec.json.decode(snapshot.data) for snapshot in page.snapshots],
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


def elapsed(job: Mapping[str, Any]) -> str:
    """How long a job has taken: `0:07`, `12:34`, `1:02:03`."""
    start = job.get("started_at") or job["created_at"]
    seconds = _seconds_since(start, job.get("finished_at"))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}"


def silent_s(job: Mapping[str, Any]) -> int:
    """For how many seconds a job's backend has not been heard."""
    return _seconds_since(job["observed_at"], None)


def _seconds_since(start: str, end: str | None) -> int:
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return max(0, int((until - datetime.fromisoformat(start)).total_seconds()))


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
