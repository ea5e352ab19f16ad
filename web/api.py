"""Jobs and backends over HTTP, as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from quart import Blueprint, Response, jsonify, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from actors import Action, Job, Snapshot, Status

from .http.json_input import fitted, parsed
from .http.problems import Problem, wants_html
from .owners import current_jobs, current_visitor
from .pages import job_page
from .server.limits import MAX_JOBS_PER_LIST
from .streams import current_hub
from .streams.long_poll import Wait, newer

# Shown in the page; every other file that a third party made is only for download.
INLINE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")

routes = Blueprint("api", __name__)


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /jobs: params to start a job, or the ref of one to adopt."""

    backend: str | None = None
    params: dict[str, Any] = {}
    ref: str | None = None

    def __post_init__(self) -> None:
        if self.ref is not None and (self.params or self.backend is None):
            raise ValueError("A ref needs a backend, and no params")


@routes.post("/jobs")
async def create_job() -> Response:
    order = fitted(parsed(await _json_body()), Order)
    job = await _begun(order)
    response = _answer(msgspec.json.encode(job), 202)
    response.headers["Location"] = f"/jobs/{job.job}"
    response.headers["Retry-After"] = "1"
    return response


async def _begun(order: Order) -> Job:
    if order.ref is not None and order.backend is not None:
        return await current_jobs().adopt(current_visitor(), order.backend, order.ref)
    return await current_jobs().start(
        current_visitor(), order.backend, order.params, _idempotency_key()
    )


@routes.get("/jobs")
async def list_jobs() -> Response:
    try:
        page = await current_jobs().store.owned.page(
            current_visitor().owner,
            status=_status(request.args.get("status")),
            limit=_limit(request.args.get("limit")),
            cursor=request.args.get("cursor"),
        )
    except KeyError as error:
        raise Problem(400, "bad_cursor", "This cursor leads nowhere.") from error
    listed = b",".join(snapshot.data for snapshot in page.snapshots)
    return _answer(
        b'{"jobs":[%s],"cursor":%s}' % (listed, msgspec.json.encode(page.cursor))
    )


@routes.get("/jobs/<job>")
async def show_job(job: str) -> Response:
    if wants_html():
        return await job_page(job)
    snapshot = await _snapshot(job, Wait.read(request.args))
    response = _answer(snapshot.data)
    response.set_etag(str(snapshot.revision))
    if request.if_none_match.contains_weak(str(snapshot.revision)):
        response.status_code = 304
        response.set_data(b"")
    return response


@routes.delete("/jobs/<job>")
async def cancel_job(job: str) -> Response:
    return await _requested(job, Action.CANCEL)


@routes.post("/jobs/<job>/pause")
async def pause_job(job: str) -> Response | WerkzeugResponse:
    return await _requested_by_form(job, Action.PAUSE)


@routes.post("/jobs/<job>/resume")
async def resume_job(job: str) -> Response | WerkzeugResponse:
    return await _requested_by_form(job, Action.RESUME)


@routes.get("/jobs/<job>/result")
async def show_result(job: str) -> Response:
    stream = current_jobs().result(current_visitor(), job)
    file = await anext(stream)
    assert not isinstance(file, bytes)  # the first value of the stream
    response = Response(stream, content_type=file.content_type)
    response.timeout = None  # the backend's own time limits hold
    if file.length is not None:
        response.content_length = file.length
    kind = "inline" if file.content_type in INLINE_TYPES else "attachment"
    response.headers["Content-Disposition"] = kind
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@routes.get("/backends")
async def list_backends() -> Response:
    return jsonify(backends=current_jobs().catalogue())


@routes.get("/backends/<name>/jobs")
async def list_adoptable(name: str) -> Response:
    found = await current_jobs().adoptable(current_visitor(), name)
    return _answer(msgspec.json.encode({"jobs": found}))


async def _snapshot(job: str, wait: Wait | None) -> Snapshot:
    """The job as it is now, or as it is when something newer comes."""
    if wait:
        return await newer(current_hub(), job, current_visitor().owner, wait)
    return await current_jobs().snapshot(current_visitor(), job)


async def _requested(job_id: str, action: Action) -> Response:
    job = await current_jobs().request(current_visitor(), job_id, action)
    return _answer(msgspec.json.encode(job), 200 if job.finished else 202)


async def _requested_by_form(job: str, action: Action) -> Response | WerkzeugResponse:
    """A form of a page leads back to it; a program is told the snapshot."""
    answer = await _requested(job, action)
    return redirect(f"/jobs/{job}", 303) if wants_html() else answer


def _idempotency_key() -> str | None:
    """The key as UTF-8, as the socket's is; headers are read as Latin-1 (RFC 9110)."""
    keys = request.headers.getlist("Idempotency-Key")
    if len(keys) > 1:
        raise Problem(422, "bad_key", "Send one Idempotency-Key.")
    return keys[0].encode("latin-1").decode(errors="replace") if keys else None


async def _json_body() -> bytes:
    if not (
        request.mimetype == "application/json" or request.mimetype.endswith("+json")
    ):
        raise Problem(415, "not_json", "The body must be JSON (application/json).")
    body = await request.get_data()
    assert isinstance(body, bytes)
    return body


def _status(word: str | None) -> Status | None:
    if not word:
        return None
    try:
        return Status(word)
    except ValueError as error:
        words = ", ".join(Status)
        raise Problem(
            400, "bad_status", f"The status must be one of {words}."
        ) from error


def _limit(text: str | None) -> int:
    if text is None:
        return 20
    try:
        limit = int(text)
    except ValueError:
        limit = 0
    if not 1 <= limit <= MAX_JOBS_PER_LIST:
        raise Problem(
            400, "bad_limit", f"The limit must be from 1 to {MAX_JOBS_PER_LIST}."
        )
    return limit


def _answer(data: bytes, status: int = 200) -> Response:
    response = Response(data, status, content_type="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Accept")
    return response
