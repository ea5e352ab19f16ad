"""`python -m demo`: serves until it gets a stop signal."""

import asyncio
import logging
import signal
import socket
import sys

import uvloop
from aiohttp import web

from . import create_app
from .access_log import AccessLogger
from .settings import Settings

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
BACKLOG = 1024
SHUTDOWN_TIMEOUT_S = 0.3
MAX_LINE_BYTES = 16 * 1024  # 500 ids, even with their commas escaped

logger = logging.getLogger("demo")


def main() -> None:
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    settings = Settings.from_environment()
    listener = _listen(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(listener, settings))


def _listen(settings: Settings) -> socket.socket:
    address = (settings.host, settings.port)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        sys.exit(
            f"DEMO_HOST {settings.host!r}, DEMO_PORT {settings.port}:"
            f" cannot listen there ({error})."
        )


async def _serve(listener: socket.socket, settings: Settings) -> None:
    told_to_stop = _stop_event()
    runner = web.AppRunner(
        create_app(settings.processes),
        handler_cancellation=True,  # a hanging status call ends when its caller leaves
        max_line_size=MAX_LINE_BYTES,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        access_log_class=AccessLogger,
        access_log=logger if settings.access_log else None,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        logger.info("The demo service listens on %s.", _url_of(listener))
        await told_to_stop.wait()
    finally:
        await runner.cleanup()


def _stop_event() -> asyncio.Event:
    told_to_stop = asyncio.Event()
    for stop_signal in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(stop_signal, told_to_stop.set)
    return told_to_stop


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    main()
