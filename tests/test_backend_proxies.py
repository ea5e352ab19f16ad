"""A backend behind the proxy, and with the certificates, that the environment names."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from actors import Action
from actors.backends import BackendError, Handle, Report
from actors.settings import SettingError
from dev.redis import free_port

from .support.oven import OVEN, Backend, Oven, report, toml

FAR = "oven.example"  # only the proxy knows where it is
PASSWORD = "pr0xy-pass"


@dataclass
class Proxy:
    """A forward proxy that leads everybody to one port of this machine."""

    leads_to: int
    port: int = 0
    heads: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://me:{PASSWORD}@127.0.0.1:{self.port}"

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        self.heads.append(head)
        far_reader, far_writer = await asyncio.open_connection(
            "127.0.0.1", self.leads_to
        )
        if head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            far_writer.write(head)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65536):
            writer.write(part)
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()


@pytest.fixture
async def proxy(oven: Oven) -> AsyncIterator[Proxy]:
    async with proxy_to(oven.port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_a_job_is_started_watched_and_stopped_through_the_proxy(
    oven: Oven, proxy: Proxy, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    far = backend(url=f"http://{FAR}")
    oven.says({"id": "7", "state": "baking", "done": 3})

    started = await far.start("j", {})
    assert isinstance(started.ref, str)
    answer = await report(far, started.ref)
    assert isinstance(answer, Report)
    assert answer.done == 3
    await far.send(Action.CANCEL, Handle(started.ref))

    lines = [head.split(b"\r\n")[0] for head in proxy.heads]
    assert lines[0] == f"POST http://{FAR}/loaves HTTP/1.1".encode()
    assert b"GET http://" in b"".join(proxy.heads)
    assert [each.method for each in oven.asked] == ["POST", "GET", "DELETE"]
    pair = base64.b64encode(f"me:{PASSWORD}".encode())
    assert b"Proxy-Authorization: Basic " + pair in proxy.heads[0]
    assert {each.host for each in oven.asked} == {FAR}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_this_machine_is_asked_without_the_proxy(
    oven: Oven,
    proxy: Proxy,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    oven.says({"state": "baking"})
    near = backend(url=f"http://{host}:{oven.port}")
    assert isinstance(await report(near), Report)
    assert proxy.heads == []


@pytest.mark.parametrize("named", [FAR, ".example", "*"])
async def test_no_proxy_names_the_hosts_that_are_asked_without_it(
    oven: Oven,
    proxy: Proxy,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", named)
    oven.says({"state": "baking"})
    answer = await report(backend(url=f"http://{FAR}:{oven.port}"))
    assert isinstance(answer, BackendError)  # nobody else knows this name
    assert proxy.heads == []


async def test_a_proxy_that_is_away_is_an_unreachable_backend_without_its_password(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{PASSWORD}@127.0.0.1:{free_port()}")
    answer = await report(backend(url=f"http://{FAR}"))
    assert isinstance(answer, BackendError)
    assert not answer.permanent
    assert PASSWORD not in f"{answer!r} {answer.message} {answer.__cause__!r}"


async def test_a_proxy_of_another_kind_stops_the_process_by_name(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"socks5://me:{PASSWORD}@127.0.0.1:1080")
    with pytest.raises(SettingError, match="HTTP_PROXY must be") as caught:
        backend(url=f"http://{FAR}")
    assert PASSWORD not in str(caught.value)


async def test_an_own_certificate_is_trusted_if_ssl_cert_file_names_its_issuer(
    oven: Oven, tmp_path: Path
) -> None:
    """TLS is spoken through the proxy, with the service and with its login."""
    certificate = _certificate(tmp_path)
    recipe = _recipe_with_a_token(tmp_path)
    oven.answer = _answer_with_a_token
    async with _by_https(oven, certificate) as port, proxy_to(port) as proxy:
        trusting = await _checked(recipe, proxy, SSL_CERT_FILE=str(certificate))
        connects = [head for head in proxy.heads if head.startswith(b"CONNECT")]
        wary = await _checked(recipe, proxy, SSL_CERT_FILE=os.devnull)

    assert trusting[0] == 0, trusting
    assert connects == proxy.heads[: len(connects)]
    assert connects[0].startswith(f"CONNECT {FAR}:443 ".encode())
    assert {each.path for each in oven.asked} >= {"/token", "/loaves/7"}
    assert wary[0] != 0
    assert "certificate of The login at Oven is not trusted" in wary[1]


def _recipe_with_a_token(folder: Path) -> Path:
    oauth2 = {"url": f"https://{FAR}/token", "client_id": "a", "client_secret": "b"}
    tables = OVEN | {
        "url": f"https://{FAR}",
        "every": {"headers": {"Authorization": "Bearer {login.token}"}},
        "login": {"oauth2": oauth2},
    }
    del tables["cancel"], tables["headers"]
    recipe = folder / "far.toml"
    recipe.write_text("\n".join(f"{k} = {toml(v)}" for k, v in tables.items()))
    return recipe


async def _answer_with_a_token(request: web.Request) -> web.Response:
    if request.path == "/token":
        return web.json_response({"access_token": "t0k", "expires_in": 3600})
    if request.headers.get("Authorization") != "Bearer t0k":
        return web.json_response({}, status=401)
    if request.path not in ("/loaves", "/loaves/7"):
        return web.json_response({}, status=404)
    loaf = {"id": "7", "state": "baked", "done": 1, "of": {"all": 1}, "note": "crisp"}
    return web.json_response(loaf)


@asynccontextmanager
async def _by_https(oven: Oven, certificate: Path) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", oven.hear)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield port
    finally:
        await runner.cleanup()


async def _checked(recipe: Path, proxy: Proxy, **environ: str) -> tuple[int, str]:
    """Run the prover; return its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "command", "recipe", "check", str(recipe)),
        env={**os.environ, "HTTPS_PROXY": proxy.url, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert PASSWORD.encode() not in said
    return process.returncode or 0, said.decode()


def _certificate(folder: Path) -> Path:
    made = folder / "cert.pem"
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={FAR}", "-addext", f"subjectAltName=DNS:{FAR}"),
            *("-keyout", folder / "key.pem", "-out", made),
        ),
        check=True,
        capture_output=True,
    )
    return made
