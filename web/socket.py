"""The feed and its commands over WebSocket."""

from __future__ import annotations

from quart import Blueprint, websocket

from actors import request_id

from .http.problems import unavailable
from .http.request_log import HEADER
from .owners import current_jobs, current_origins, current_visitors
from .streams import current_hub
from .streams.connection import connection_of
from .streams.websocket import WebSocketStream

routes = Blueprint("socket", __name__)


@routes.websocket("/prog/")
async def prog() -> None:
    current_origins().check(websocket)
    visitor = current_visitors().visitor(websocket)
    if current_hub().draining:
        raise unavailable()
    cookie = visitor.new_cookie
    headers = {HEADER: request_id.get(), **({"Set-Cookie": cookie} if cookie else {})}
    await websocket.accept(headers=headers)
    connection = connection_of(websocket.scope)
    batches = websocket.args.get("batch") == "1"
    stream = WebSocketStream(
        current_hub(), connection, current_jobs(), visitor, batches
    )
    connection.sequel = stream.run
