"""ProgRock's processes as in production: real commands, ports and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx

from dev.redis import free_port

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
START_S = 20
STOP_S = 15

WEB = [sys.executable, "-m", "web"]
DEMO = [sys.executable, "-m", "demo"]


def worker(processes: int = 1) -> list[str]:
    """The worker's command line."""
    counts = ["--processes", str(processes), "--threads", "4"]
    return [
        *(str(BIN / "dramatiq"), "actors"),
        *counts,
        *("--worker-shutdown-timeout", "5000"),
    ]


class Process:
    """One command in a process group of its own, with its output."""

    def __init__(
        self, command: list[str], environ: Mapping[str, str], cwd: Path = ROOT
    ) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # end() does
        self.popen = subprocess.Popen(
            command,
            cwd=cwd,
            env={**_clean(), **environ},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def log(self) -> str:
        """All output so far."""
        return os.pread(self._log.fileno(), 10_000_000, 0).decode(errors="replace")

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait for the end; returns the exit code."""
        return self.popen.wait(timeout_s)

    def signal_group(self, signum: int) -> None:
        """Signal the process and all of its children, as Heroku and honcho do."""
        os.killpg(self.popen.pid, signum)

    def end(self) -> None:
        """Stop the process; if it does not stop, kill it and raise AssertionError.

        Its children are killed too. A second call does nothing: by then the pid can
        belong to another process.
        """
        if self._log.closed:
            return
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.signal_group(signal.SIGKILL)
                raise AssertionError(f"It did not stop:\n{self.log()}") from None
        with suppress(ProcessLookupError):
            self.signal_group(signal.SIGKILL)  # children of a killed process
        self._log.close()


class Stack:
    """Web, worker and demo on ports of their own, over one Redis."""

    def __init__(self, redis_url: str, **environ: str) -> None:
        self.port, self.demo_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket_url = f"ws://127.0.0.1:{self.port}/prog/"
        self.demo_url = f"http://127.0.0.1:{self.demo_port}"
        self.environ = {
            "REDIS_URL": redis_url,
            "SECRET_KEY": "a secret for the tests, of no worth",
            "PORT": str(self.port),
            "DEMO_PORT": str(self.demo_port),
            "DEMO_URL": self.demo_url,
            **environ,
        }
        self._stack = ExitStack()

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def start_all(self, worker_processes: int = 1) -> None:
        """Start everything; returns as soon as all of it answers."""
        self.demo = self.start(DEMO)
        self.worker = self.start(worker(worker_processes))
        self.web = self.start(WEB)
        wait_for(lambda: answers(f"{self.demo_url}/health"), self.demo)
        wait_for(lambda: answers(f"{self.url}/health/ready"), self.web)
        wait_for(lambda: "ready for action" in self.worker.log(), self.worker)

    def start(self, command: list[str], cwd: Path = ROOT, **environ: str) -> Process:
        """Start one command; the stack stops it at its own end."""
        process = Process(command, {**self.environ, **environ}, cwd)
        self._stack.callback(process.end)
        return process


@contextmanager
def running(
    redis_url: str, worker_processes: int = 1, **environ: str
) -> Iterator[Stack]:
    """All of ProgRock, with the demo service."""
    with Stack(redis_url, **environ) as stack:
        stack.start_all(worker_processes)
        yield stack


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(
    happened: Callable[[], bool],
    process: Process | None = None,
    timeout_s: float = START_S,
) -> None:
    """Return as soon as `happened()` is true; raises AssertionError if it is late."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        log = process.log() if process else ""
        if process and process.popen.poll() is not None:
            raise AssertionError(f"It ended:\n{log}")
        if time.monotonic() > deadline:
            raise AssertionError(f"It did not happen in {timeout_s} s.\n{log}")
        time.sleep(0.02)


def _clean() -> dict[str, str]:
    """The environment without the variables that change the product's behaviour."""
    ours = ("PROGROCK_", "DEMO_", "REDIS_URL", "BROKER_URL", "SECRET_KEY", "PORT")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)}
