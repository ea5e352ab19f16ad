"""Jobs and backends over HTTP, as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from quart import Blueprint, Response, jsonify, request

from actors import Job, Status
from actors.backends import BackendError, ResultFile
from actors.store.values import Snapshot
from web.http.json_input import fitted, parsed
from web.http.problems import Problem, wants_html
from web.owners.headers import visitor
from web.owners.jobs import desk
from web.streams.long_poll import Wait, newer

from .pages import job_page

MOST_PER_PAGE = 100
# Shown in the page; anything else that a third party made is only for download.
INLINE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")

api = Blueprint("api", __name__)


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /jobs."""

    backend: str | None = None
    params: dict[str, Any] = {}


@api.post("/jobs")
async def create_job() -> Response:
    order = fitted(parsed(await _json_body()), Order)
    job = await desk().start(visitor(), order.backend, order.params)
    response = _answer(msgspec.json.encode(job), 202)
    response.headers["Location"] = f"/jobs/{job.job}"
    response.headers["Retry-After"] = "1"
    return response


@api.get("/jobs")
async def list_jobs() -> Response:
    try:
        page = await desk().store.page(
            visitor().owner,
            status=_status(request.args.get("status")),
            limit=_limit(request.args.get("limit")),
            cursor=request.args.get("cursor"),
        )
    except KeyError as error:
        raise Problem(400, "bad_cursor", "This cursor leads nowhere.") from error
    jobs = b",".join(snapshot.data for snapshot in page.snapshots)
    return _answer(
        b'{"jobs":[%s],"cursor":%s}' % (jobs, msgspec.json.encode(page.cursor))
    )


@api.get("/jobs/<job>")
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


@api.delete("/jobs/<job>")
async def cancel_job(job: str) -> Response:
    cancelled = await desk().cancel(visitor(), job)
    return _answer(msgspec.json.encode(cancelled), 200 if cancelled.finished else 202)


@api.get("/jobs/<job>/result")
async def show_result(job: str) -> Response:
    found = await desk().job(visitor(), job)
    if not (found.result and found.result.get("content_type")):
        raise Problem(404, "no_result", "This job has made no file.")
    stream = _result(found)
    try:
        file = await anext(stream)
    except BackendError as error:
        raise Problem(502, error.code, error.message) from error
    assert not isinstance(file, bytes)  # the first thing that the stream yields
    response = Response(stream, content_type=file.content_type)
    response.timeout = None  # the backend's own time limits hold
    if file.length is not None:
        response.content_length = file.length
    kind = "inline" if file.content_type in INLINE_TYPES else "attachment"
    response.headers["Content-Disposition"] = kind
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@api.get("/backends")
async def list_backends() -> Response:
    return jsonify(backends=desk().catalogue())


async def _snapshot(job: str, wait: Wait | None) -> Snapshot:
    """The job as it is now, or as it is when something newer comes."""
    if wait:
        await desk().check_owner(visitor(), [job])
        if snapshot := await newer(desk().feed, job, wait):
            return snapshot
    return await desk().snapshot(visitor(), job)


async def _result(job: Job) -> AsyncIterator[ResultFile | bytes]:
    """Yield the file, then what is in it, so that a refusal comes before the answer."""
    contact = await desk().store.contact(job.job)
    backend = desk().backend(job.backend)
    assert contact.ref is not None  # it has a result
    async with backend.result(contact.ref) as file:
        yield file
        async for chunk in file.chunks():
            yield chunk


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
    if not 1 <= limit <= MOST_PER_PAGE:
        raise Problem(400, "bad_limit", f"The limit must be from 1 to {MOST_PER_PAGE}.")
    return limit


def _answer(data: bytes, status: int = 200) -> Response:
    response = Response(data, status, content_type="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Accept")
    return response
