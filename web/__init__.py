"""The web application: pages, JSON, WebSocket and SSE over one feed."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from quart import Quart

from actors.backends.registry import Backends
from actors.settings import Settings, settings as from_environment
from actors.store import Store
from actors.store.redis import connect
from web.http.json_input import MOST_BYTES
from web.owners.jobs import Desk
from web.owners.visitors import Access
from web.streams.handover import Handover
from web.streams.hub import Feed

from . import pages as page_routes
from .api import api
from .events import events
from .health import health
from .http import problems
from .owners import headers as visiting
from .pages import pages
from .server import patch as hypercorn_patch
from .socket import socket

__all__ = ["create_app"]


def create_app(settings: Settings = from_environment) -> Quart:
    """Make the application; raises SettingError where a setting makes no sense."""
    hypercorn_patch.apply()
    app = Quart(__name__, template_folder="../templates", static_folder="../static")
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider's
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = None  # a browser asks whether it changed
    for blueprint in (pages, api, events, socket, health):
        app.register_blueprint(blueprint)
    problems.install(app)
    visiting.install(app)
    page_routes.install(app)
    app.asgi_app = Handover(app.asgi_app)  # type: ignore[method-assign]  # Quart's own way
    _furnish(app, settings)
    return app


def _furnish(app: Quart, settings: Settings) -> None:
    """Give the app its desk, and open and close what stands on it."""
    store = Store(
        connect(settings.redis_url),
        job_ttl_s=settings.job_ttl_s,
        poll_interval_ms=settings.poll_interval_ms,
    )
    desk = Desk(settings, store, Backends.read(settings), Feed(store), Access(settings))
    app.extensions["desk"] = desk

    @app.while_serving
    async def serve() -> AsyncGenerator[None, None]:
        async with desk.feed:
            yield
        await desk.backends.close()
        await store.close()
