"""Errors as people and programs read them: RFC 9457 problem details."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from quart import (
    Quart,
    Request,
    Response,
    Websocket,
    has_request_context,
    jsonify,
    render_template,
    request,
    websocket,
)
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException

from actors import about

logger = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818  # RFC 9457's own word
    """A refused request.

    `code` is for programs, `detail` is a plain sentence for people.
    """

    def __init__(
        self, status: int, code: str, detail: str, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s


def no_such_job() -> Problem:
    """Also the answer for somebody else's job: for others it does not exist."""
    return Problem(404, "unknown_job", "There is no such job.")


def wants_html() -> bool:
    """True if the client prefers a page to JSON."""
    if not has_request_context():  # a refused WebSocket
        return False
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return best == "text/html"


def install(app: Quart) -> None:
    """Have every error leave as a problem."""
    app.register_error_handler(Problem, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(RedisError, _answer_unavailable)
    app.register_error_handler(Exception, _answer_bug)


async def _answer(problem: Problem) -> Response:
    asking: Any = request if has_request_context() else websocket
    said = f"{asking.method} {quote(asking.path)}"
    log_refusal(said, job_of(asking), problem)
    return await _told(problem)


def job_of(asking: Request | Websocket) -> str | None:
    """The job in the request's path."""
    return (asking.view_args or {}).get("job")


def log_refusal(said: str, job_id: str | None, problem: Problem) -> None:
    """Log one line for a request that was refused, with the cause if there is one."""
    if problem.status == 500:
        return  # a mistake of ours, which has been logged
    fields = {"code": problem.code, "status": problem.status}
    if problem.status < 500:  # the detail says it all
        sentence = f"{said} was refused with {problem.status}: {problem.detail}"
        logger.info("%s", sentence, extra=about(job_id, **fields))
        return
    cause = repr(problem.__cause__) if problem.__cause__ else problem.code
    logger.warning(
        "%s was refused with %d: %s Cause: %s",
        *(said, problem.status, problem.detail, cause),
        extra=about(job_id, cause=cause, **fields),
    )


async def _told(problem: Problem) -> Response:
    title = HTTPStatus(problem.status).phrase
    if wants_html():
        page = await render_template(
            "error.html", status=problem.status, title=title, detail=problem.detail
        )
        response = Response(
            page, problem.status, content_type="text/html; charset=utf-8"
        )
    else:
        response = jsonify(
            status=problem.status, title=title, detail=problem.detail, code=problem.code
        )
        response.status_code = problem.status
        response.content_type = "application/problem+json"
    response.headers["Cache-Control"] = "no-store"
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    return response


async def _answer_http(error: HTTPException) -> Response:
    status = error.code or 500
    answer = await _answer(
        Problem(
            status, f"http_{status}", _sentences.get(status, error.description or "")
        )
    )
    if status == 405:
        answer.headers["Allow"] = dict(error.get_headers()).get("Allow", "")
    return answer


async def _answer_unavailable(error: RedisError) -> Response:
    return await _answer(unavailable(error))


def unavailable(cause: Exception | None = None) -> Problem:
    """The answer while Redis is away, or this process is about to stop."""
    said = "This cannot be done just now. Try again in a moment."
    problem = Problem(503, "unavailable", said, 2)
    problem.__cause__ = cause or RuntimeError("This process is about to stop.")
    return problem


async def _answer_bug(error: Exception) -> Response:
    return await _answer(bug(error))


def bug(error: Exception) -> Problem:
    """The answer after a mistake of ours; the log has the cause."""
    logger.error("A request went wrong.", exc_info=error)
    return Problem(500, "internal", "Something went wrong on our side.")


_sentences = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: "The request is larger than 64 KiB.",
}
