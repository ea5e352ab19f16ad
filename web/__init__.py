"""The web application: pages, JSON, WebSocket and SSE over one feed."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path

from quart import Quart

from actors import (
    Backends,
    Settings,
    Store,
    connect_broker,
    report_errors,
    traces,
)

from . import api, events, health, metrics, pages, socket
from .http import problems, request_log
from .owners import headers
from .owners.jobs import Jobs
from .owners.origins import Origins
from .owners.visitors import Visitors
from .server import patch
from .server.limits import MAX_BODY_BYTES
from .streams.handover import Handover
from .streams.hub import Hub

__all__ = ["create_app"]


def create_app(settings: Settings | None = None) -> Quart:
    """Make the application; without settings they are read from the environment.

    Raises SettingError if a setting makes no sense.
    """
    settings = settings or Settings.read(os.environ)
    patch.apply()
    app = Quart(
        __name__,
        template_folder=str(_folder("templates")),
        static_folder=str(_folder("static")),
    )
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider's
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = None  # a browser asks whether it changed
    for module in (pages, api, events, socket, health, metrics):
        app.register_blueprint(module.routes)
    problems.install(app)
    request_log.install(app, access_log=settings.access_log)
    headers.install(app)
    pages.install(app)
    app.asgi_app = Handover(app.asgi_app)  # type: ignore[method-assign]  # Quart's own way
    _furnish(app, settings)
    return app


def _furnish(app: Quart, settings: Settings) -> None:
    """Give the app its jobs and its hub, and open and close them with it."""
    connect_broker(settings.broker_url, settings.key_prefix)
    store = Store.open(settings)
    backends, hub = Backends.read(settings), Hub(store)
    app.extensions["visitors"] = Visitors(settings)
    app.extensions["origins"] = Origins(settings)
    app.extensions["jobs"] = Jobs(settings, store, backends)
    app.extensions["hub"] = hub
    shown = metrics.shown(app, settings, backends, store)

    report_errors("web")

    @app.while_serving
    async def serve() -> AsyncGenerator[None, None]:
        with traces.tracing("web"):
            async with hub, health.watched_workers(store), shown:
                yield
        await backends.close()
        await store.close()


def _folder(name: str) -> Path:
    """Find templates or static files: in the package of a wheel, otherwise beside."""
    here = Path(__file__).resolve().parent
    packed = here / name
    return packed if packed.is_dir() else here.parent / name
