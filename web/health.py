"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from quart import Blueprint, Response, jsonify

from web.owners.jobs import desk

health = Blueprint("health", __name__)


@health.get("/health/live")
async def live() -> Response:
    return jsonify(live=True)


@health.get("/health/ready")
async def ready() -> Response:
    feed = desk().feed
    if feed.draining:
        return _not_ready("This process is about to stop.")
    if not feed.connected:
        return _not_ready("Redis cannot be reached.")
    return jsonify(ready=True)


def _not_ready(reason: str) -> Response:
    response = jsonify(ready=False, reason=reason)
    response.status_code = 503
    return response
