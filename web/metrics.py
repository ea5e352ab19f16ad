"""The numbers of this process for Prometheus, if `PROGROCK_METRICS` is `token`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from quart import Blueprint, Quart, Response, current_app, request

from actors import SettingError, Settings, Store, metrics, owner_of_token

from .http.problems import Problem
from .owners import current_visitor

ADMIN = "admin"  # the name of the API token
_OWNER = owner_of_token(ADMIN)

routes = Blueprint("metrics", __name__)


@routes.get("/metrics")
async def show_metrics() -> Response:
    exposition = current_app.extensions["metrics"]
    if exposition is None:
        raise Problem(404, "no_metrics", "There are no metrics at this address.")
    owner = current_visitor().owner
    if owner != _OWNER:
        status = 403 if owner.startswith(owner_of_token("")) else 401
        raise Problem(status, "not_admin", "The metrics need the token of `admin`.")
    text, content_type = await exposition.text(request.headers.get("Accept", ""))
    return Response(text, content_type=content_type)


def shown(
    app: Quart, settings: Settings, backends: Iterable[str], store: Store
) -> AbstractAsyncContextManager[None]:
    """Show the numbers inside the block, as the settings say; raises SettingError."""
    app.extensions["metrics"] = None
    is_by_token = settings.metrics == "token"
    if is_by_token and ADMIN not in settings.api_tokens.values():
        raise SettingError(
            "PROGROCK_METRICS is `token`, but PROGROCK_API_TOKENS has no token of the "
            f"name {ADMIN}."
        )

    @asynccontextmanager
    async def serve() -> AsyncIterator[None]:
        async with metrics(settings, "web", backends, store.census.taken) as found:
            app.extensions["metrics"] = found if is_by_token else None
            yield

    return serve()
