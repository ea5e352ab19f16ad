"""`make run`: everything in one terminal, from Procfile.dev, until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from honcho.environ import parse_procfile  # type: ignore[import-untyped]  # no stubs
from honcho.manager import Manager  # type: ignore[import-untyped]  # no stubs

from .redis import free_port

PROCFILE = Path(__file__).parent.parent / "Procfile.dev"
DEMO_PORT = 8001
READY_S = 60


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="progrock-") as folder:
        environ = _environment(folder)
        manager = Manager()
        for name, command in parse_procfile(PROCFILE.read_text()).processes.items():
            if name != "redis" or not os.environ.get("REDIS_URL"):
                manager.add_process(name, command, env=environ)
        url = f"http://127.0.0.1:{environ['PORT']}"
        threading.Thread(target=_announce, args=[url], daemon=True).start()
        # If the terminal is closed, everything ends as with Ctrl-C.
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        manager.loop()
    stopped_by_hand = manager.returncode in (130, 143)
    sys.exit(0 if stopped_by_hand else manager.returncode or 0)


def _environment(folder: str) -> dict[str, str]:
    """The variables that are set, and defaults for those that this run needs."""
    demo_port = os.environ.get("DEMO_PORT") or str(_demo_port())
    defaults = {
        "PORT": "8000",
        "REDIS_URL": f"unix://{folder}/redis.sock?db=0",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "DEMO_PORT": demo_port,
        "DEMO_URL": f"http://127.0.0.1:{demo_port}",
        "DEMO_ACCESS_LOG": "off",
        "PYTHONUNBUFFERED": "1",
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    given = {name: value for name, value in os.environ.items() if value}
    return {**defaults, **given, "PATH": path}


def _demo_port() -> int:
    with socket.socket() as probe:
        in_use = probe.connect_ex(("127.0.0.1", DEMO_PORT)) == 0
    return free_port() if in_use else DEMO_PORT


def _announce(url: str) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=1):
                sys.stdout.write(f"\nProgRock is at {url} (Ctrl-C ends it)\n\n")
                sys.stdout.flush()
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)


if __name__ == "__main__":
    main()
