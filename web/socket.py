"""The feed and its commands over WebSocket."""

from __future__ import annotations

from quart import Blueprint, websocket

from web.http.problems import unavailable
from web.owners.jobs import desk
from web.server.direct_write import wire_of
from web.streams.handover import line_of
from web.streams.websocket import Conversation

socket = Blueprint("socket", __name__)


@socket.websocket("/prog/")
async def prog() -> None:
    access = desk().access
    access.check_origin(websocket)
    visitor = access.visitor(websocket)
    if desk().feed.draining:
        raise unavailable()
    cookie = visitor.new_cookie
    await websocket.accept(headers={"Set-Cookie": cookie} if cookie else None)
    line, wire = line_of(websocket.scope), wire_of(websocket.scope)
    batches = websocket.args.get("batch") == "1"
    line.sequel = Conversation(desk(), visitor, line, wire, batches).run
