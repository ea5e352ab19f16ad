"""One line for each request: `GET /counters/abc 200`."""

import sys

from aiohttp.abc import AbstractAccessLogger
from aiohttp.web import BaseRequest, StreamResponse


class AccessLogger(AbstractAccessLogger):
    """Writes to stdout directly: `logging` would cost as much CPU as the answer."""

    def log(self, request: BaseRequest, response: StreamResponse, time: float) -> None:
        path = request.rel_url.raw_path
        sys.stdout.write(f"{request.method} {path} {response.status}\n")
        sys.stdout.flush()
