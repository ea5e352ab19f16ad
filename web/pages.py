"""The pages: right before any JavaScript runs, and whole without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quart import Blueprint, Quart, Response, redirect, render_template, request
from werkzeug.wrappers import Response as WerkzeugResponse

from actors import Action, now_ms, timestamp

from .http.display import (
    amount,
    elapsed,
    indented,
    read,
    seconds_until,
    status_text,
    step_state,
    steps_done,
    text,
    web_address,
)
from .http.forms import typed
from .http.problems import Problem
from .owners import current_jobs, current_visitor

JOBS_SHOWN = 20
_FILTERS = (
    amount,
    elapsed,
    indented,
    seconds_until,
    status_text,
    step_state,
    steps_done,
    text,
    web_address,
)

routes = Blueprint("pages", __name__)


def install(app: Quart) -> None:
    """Give the templates their filters and the time."""
    app.jinja_env.filters.update({each.__name__: each for each in _FILTERS})
    app.context_processor(_context)


@routes.get("/")
async def index() -> Response:
    name = request.args.get("running")
    return await _index(listing=await _listing(name) if name else None)


@routes.post("/start")
async def start() -> Response | WerkzeugResponse:
    form = (await request.form).to_dict()
    name = form.pop("backend", "")
    params = typed(form, current_jobs().backend(name).params["properties"])
    try:
        job = await current_jobs().start(current_visitor(), name, params)
    except Problem as problem:
        refused = {"backend": name, "message": problem.detail, "values": form}
        return await _index(refused, problem.status)
    return redirect(f"/jobs/{job.job}", 303)


@routes.post("/adopt")
async def adopt() -> Response | WerkzeugResponse:
    form = (await request.form).to_dict()
    name, ref = form.get("backend", ""), form.get("ref", "").strip()
    has_form = current_jobs().backend(name).adopt_title is not None
    try:
        job = await current_jobs().adopt(current_visitor(), name, ref)
    except Problem as problem:
        if not has_form:
            raise
        refused = {
            "backend": name,
            "message": problem.detail,
            "values": form,
            "adopts": True,
        }
        return await _index(refused, problem.status)
    return redirect(f"/jobs/{job.job}", 303)


@routes.post("/jobs/<job>/cancel")
async def cancel(job: str) -> WerkzeugResponse:
    await current_jobs().request(current_visitor(), job, Action.CANCEL)
    return redirect(f"/jobs/{job}", 303)


async def job_page(job: str) -> Response:
    """One job as a page; raises a 404 Problem."""
    snapshot = await current_jobs().snapshot(current_visitor(), job)
    page = await render_template(
        "job.html",
        job=read(snapshot.data),
        backends=current_jobs().catalogue(),
    )
    return _html(page)


async def _index(
    refused: Mapping[str, Any] | None = None,
    status: int = 200,
    listing: Mapping[str, Any] | None = None,
) -> Response:
    page = await current_jobs().store.owned.page(
        current_visitor().owner, status=None, limit=JOBS_SHOWN, cursor=None
    )
    html = await render_template(
        "index.html",
        backends=current_jobs().catalogue(),
        default_backend=current_jobs().backends.default,
        jobs=[read(snapshot.data) for snapshot in page.snapshots],
        form_error=refused,
        listing=listing,
    )
    return _html(html, status)


async def _listing(name: str) -> dict[str, Any]:
    """What runs at a backend; raises a Problem if it never says so."""
    try:
        found = await current_jobs().adoptable(current_visitor(), name)
    except Problem as problem:
        if problem.status != 502:
            raise
        return {"backend": name, "message": problem.detail}
    return {"backend": name, "jobs": found}


def _html(page: str, status: int = 200) -> Response:
    response = Response(page, status, content_type="text/html; charset=utf-8")
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Accept")
    return response


async def _context() -> dict[str, Any]:
    return {"now": timestamp(now_ms())}
