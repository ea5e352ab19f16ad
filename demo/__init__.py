"""An example of a third party's service with slow work: pictures and counters."""

from aiohttp import web

from .counters import Counters
from .overview import overview_routes
from .pool import Pool
from .renders import Renders

MAX_BODY_BYTES = 64 * 1024

__all__ = ["create_app"]


def create_app(processes: int) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    renders = Renders(Pool(processes))
    app.add_routes(overview_routes)
    app.add_routes(renders.routes())
    app.add_routes(Counters().routes())
    app.on_cleanup.append(renders.close)
    return app
