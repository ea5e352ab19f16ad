"""The feed and its commands over WebSocket."""

from __future__ import annotations

from quart import Blueprint, websocket

from .http.problems import unavailable
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
    await websocket.accept(headers={"Set-Cookie": cookie} if cookie else None)
    connection = connection_of(websocket.scope)
    batches = websocket.args.get("batch") == "1"
    stream = WebSocketStream(
        current_hub(), connection, current_jobs(), visitor, batches
    )
    connection.sequel = stream.run
