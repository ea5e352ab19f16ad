"""The format of requests and answers: JSON, also for refusals."""

from typing import TypeVar

import msgspec
from aiohttp import web

JSON_HEADERS = {"Content-Type": "application/json"}

T = TypeVar("T")


class Refusal(web.HTTPException):
    """An error as an answer: `{"error": {"code": …, "message": …}}`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status_code = status
        body = msgspec.json.encode({"error": {"code": code, "message": message}})
        super().__init__(
            text=body.decode(), content_type="application/json", headers=headers
        )


def answer(content: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(content), status=status, headers=JSON_HEADERS
    )


def accepted(content: object, location: str) -> web.Response:
    response = answer(content, 202)
    response.headers["Location"] = location
    response.headers["Retry-After"] = "1"
    return response


async def read_order(request: web.Request, kind: type[T]) -> T:
    """The body as `kind`; an empty body means all defaults."""
    body = await _read_body(request)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(422, "out_of_range", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "bad_json", str(error)) from error


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refusal(413, "too_large", "The body is too large.") from error
