"""A real nginx and a real HAProxy on loopback, with the configurations from docs/."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dev.processes import ROOT, Process, answers, wait_for
from dev.redis import free_port
from tests.conftest import missing

UPGRADE = "proxy_set_header Upgrade $progrock_upgrade;"
PATIENCE = "60s"  # for a stream that says nothing


@contextmanager
def nginx(
    folder: Path, web_ports: Sequence[int], changes: Mapping[str, str]
) -> Iterator[str]:
    """Run nginx before a web process; yields its address."""
    port = free_port()
    private = f"pid {folder}/nginx.pid; error_log {folder}/error.log;"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind}; "
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = _config(
        "nginx.conf",
        {
            "events {": f"daemon off; {private}\nevents {{",
            "http {": f"http {{ access_log off; {temporary}",
            "listen 80;": f"listen 127.0.0.1:{port};",
            "127.0.0.1:8000": f"127.0.0.1:{web_ports[0]}",
            **changes,
        },
    )
    path = folder / "nginx.conf"
    path.write_text(config)
    command = [_found("nginx"), "-p", str(folder), "-c", str(path)]
    with _running(command, port) as url:
        yield url


@contextmanager
def haproxy(
    folder: Path, web_ports: Sequence[int], changes: Mapping[str, str]
) -> Iterator[str]:
    """Run HAProxy before one or two web processes; yields its address."""
    port = free_port()
    config = _config(
        "haproxy.cfg",
        {
            "bind :80": f"bind 127.0.0.1:{port}",
            "127.0.0.1:8000": f"127.0.0.1:{web_ports[0]}",
            "127.0.0.1:8001": f"127.0.0.1:{web_ports[-1]}",
            **changes,
        },
    )
    path = folder / "haproxy.cfg"
    path.write_text(config)
    with _running([_found("haproxy"), "-db", "-f", str(path)], port) as url:
        yield url


def _config(name: str, changes: Mapping[str, str]) -> str:
    text = (ROOT / "docs" / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r} any more."
        text = text.replace(old, new)
    return text


def _found(name: str) -> str:
    # Debian puts them where only root looks.
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        missing(name)
    return path or ""


@contextmanager
def _running(command: list[str], port: int) -> Iterator[str]:
    process = Process(command, {})
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{url}/health/ready"), process)
        yield url
    finally:
        process.end()
