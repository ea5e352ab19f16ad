"""Traces and errors, as collectors are sent them by the real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from dev.processes import ROOT, Process, Stack, running, wait_for
from dev.redis import Server, embedded

from .support.collectors import Collector, collecting

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "hunter2-in-a-local-variable"
BACKEND = f"""
from actors import PythonBackend, Started

class Broken(PythonBackend):
    async def start(self, job_id, params):
        token = "{SECRET}"
        raise RuntimeError("It broke in a new way.")

    async def report(self, job):
        raise NotImplementedError
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with embedded() as server:
        yield server


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def seen(
    server: Server, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Processes that send traces and errors, with a backend that breaks."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "broken_backend.py").write_text(BACKEND)
    (folder / "broken.toml").write_text(
        'title = "Broken"\nbackend = "broken_backend:Broken"\n'
    )
    with running(
        server.url,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="200",
        SENTRY_DSN=collector.url.replace("http://", "http://key@") + "/7",
        PROGROCK_RECIPES=str(folder),
        PROGROCK_LOG="json",
        PYTHONPATH=str(folder),
    ) as stack:
        yield stack


@pytest.fixture
def client(seen: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=seen.url, trust_env=False) as client:
        yield client


def watched_to_the_end(client: httpx.Client, job: str, stop: bool = False) -> None:
    with client.stream("GET", f"/events?job={job}") as events:
        for line in events.iter_lines():
            if stop and '"status":"running"' in line:
                client.delete(f"/jobs/{job}")
                stop = False


def trace_of(collector: Collector, job: str) -> dict[str, tuple[str, Any]]:
    """The spans of a job's trace by name, as soon as the whole of it is there."""

    def whole() -> list[Any]:
        return [
            span
            for _, span in collector.spans()
            if any(each.value.string_value == job for each in span.attributes)
        ]

    wait_for(lambda: bool(whole()))
    [root] = whole()
    spans = {
        span.name: (service, span)
        for service, span in collector.spans()
        if span.trace_id == root.trace_id
    }
    assert all(
        span.parent_span_id == root.span_id or span is root or span.name == root.name
        for _, span in spans.values()
    )
    return spans


def test_a_job_is_one_trace_over_web_and_worker(
    client: httpx.Client, collector: Collector
) -> None:
    order = {"backend": "counter", "params": {"seconds": 1}}
    headers = {"traceparent": CALLER}
    job = client.post("/jobs", json=order, headers=headers).json()["job"]
    watched_to_the_end(client, job)
    names = {"job of counter", "created", "start at counter", "first answer"}
    wait_for(lambda: {*names, "first frame"} <= trace_of(collector, job).keys())

    spans = trace_of(collector, job)
    assert spans.keys() == {*names, "first frame"}
    in_web = {name for name, (kind, _) in spans.items() if kind == "progrock-web"}
    assert in_web == {"created", "first frame"}
    asked = {
        span.name: span
        for _, span in collector.spans()
        if span.trace_id.hex() == CALLER.split("-")[1]
    }
    assert asked["POST /jobs"].parent_span_id.hex() == CALLER.split("-")[2]
    [link] = spans["created"][1].links
    assert link.span_id == asked["POST /jobs"].span_id


def test_a_stop_is_in_the_trace_with_its_call(
    client: httpx.Client, collector: Collector
) -> None:
    order = {"backend": "counter", "params": {"seconds": 60}}
    job = client.post("/jobs", json=order).json()["job"]
    watched_to_the_end(client, job, stop=True)

    names = {"cancel was asked for", "cancel at counter", "stop"}
    wait_for(lambda: names <= trace_of(collector, job).keys())


def test_polls_and_streams_leave_no_spans_behind(
    seen: Stack, client: httpx.Client, collector: Collector
) -> None:
    order = {"backend": "counter", "params": {"seconds": 2}}
    job = client.post("/jobs", json=order).json()["job"]
    watched_to_the_end(client, job)

    assert len(trace_of(collector, job)) <= 5
    names = {span.name for _, span in collector.spans()}
    assert "GET /events" in names  # which ended as the stream began


def test_an_error_of_the_worker_is_reported_without_secrets(
    client: httpx.Client, collector: Collector
) -> None:
    job = client.post("/jobs", json={"backend": "broken"}).json()["job"]
    wait_for(lambda: client.get(f"/jobs/{job}").json()["finished"])
    wait_for(lambda: any("broken" in json.dumps(e) for e in collector.events()))

    event = next(e for e in collector.events() if "broken" in json.dumps(e))
    assert event["tags"]["process"] == "worker"
    assert "It broke in a new way." in json.dumps(event)
    assert not any(SECRET.encode() in body for _, body in collector.posted)


def test_an_error_of_the_web_process_is_reported_with_its_request(
    seen: Stack, server: Server, client: httpx.Client, collector: Collector
) -> None:
    order = {"backend": "counter", "params": {"seconds": 1}}
    job = client.post("/jobs", json=order).json()["job"]
    watched_to_the_end(client, job)
    with redis.Redis.from_url(server.url) as admin:
        admin.hset(f"progrock:2:job:{job}", "snapshot", "this is no snapshot")
    headers = {"Accept": "text/html", "X-Request-Id": "for-sentry"}
    assert client.get(f"/jobs/{job}", headers=headers).status_code == 500

    def reported() -> list[dict[str, Any]]:
        tagged = ((each["tags"].get("request"), each) for each in collector.events())
        return [each for request, each in tagged if request == "for-sentry"]

    wait_for(lambda: bool(reported()))
    [event] = reported()
    assert event["tags"]["process"] == "web"
    assert not any("transaction" in e.get("type", "") for e in collector.events())


def test_a_collector_that_is_away_holds_up_no_end(server: Server) -> None:
    nowhere = "http://127.0.0.1:9"
    with running(server.url, OTEL_EXPORTER_OTLP_ENDPOINT=nowhere) as stack:
        order = {"backend": "counter", "params": {"seconds": 1}}
        httpx.post(f"{stack.url}/jobs", json=order, trust_env=False)
        began = time.monotonic()
        for process in (stack.web, stack.worker):
            process.popen.terminate()
            assert process.wait() == 0
        assert time.monotonic() - began < 12


@pytest.mark.parametrize(
    ("variable", "extra", "library"),
    [
        ("SENTRY_DSN", "progrock[sentry]", "sentry_sdk"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "progrock[otel]", "opentelemetry.exporter"),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    server: Server, tmp_path: Path, variable: str, extra: str, library: str
) -> None:
    """As after a `pip install progrock` without the extra."""
    code = f"""
import sys
sys.modules[{library!r}] = None
import runpy
runpy.run_module("web", run_name="__main__")
"""
    environ = {variable: "http://key@127.0.0.1:9/1"}
    with Stack(server.url, **environ) as stack:
        process: Process = stack.start([sys.executable, "-c", code], ROOT)
        wait_for(lambda: process.popen.poll() is not None)
        assert process.popen.returncode != 0
        assert extra in process.log()
        assert "Traceback" not in process.log()


def test_without_the_variables_neither_library_is_loaded() -> None:
    code = (
        "import sys, actors, web; print(sorted(n for n in sys.modules if n in names))"
    )
    names = "names = ['sentry_sdk', 'opentelemetry.sdk.trace', 'prometheus_client']\n"
    ran = subprocess.run(
        [sys.executable, "-c", names + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.strip() == "[]"
