"""Servers that take traces and errors, as OpenTelemetry's and Sentry's do."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Collector:
    """All that was posted to one server, by path."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, bytes]] = []
        self.url = ""

    def spans(self) -> list[tuple[str, Any]]:
        """Each span with the name of its service."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest as Sent,
        )

        return [
            (_service(sent), span)
            for path, body in list(self.posted)
            if path == "/v1/traces"
            for sent in Sent.FromString(body).resource_spans
            for scope in sent.scope_spans
            for span in scope.spans
        ]

    def events(self) -> list[dict[str, Any]]:
        """Each error as Sentry was told it."""
        found = []
        for path, body in list(self.posted):
            if path.endswith("/envelope/"):
                told = [json.loads(line) for line in body.splitlines() if line]
                found += [each for each in told if {"event_id", "level"} <= each.keys()]
        return found


def _service(sent: Any) -> str:
    named = {each.key: each.value.string_value for each in sent.resource.attributes}
    service: str = named["service.name"]
    return service


def _unpacked(body: bytes, coding: str) -> bytes:
    if coding == "br":
        import brotli  # which Sentry's SDK uses if it is there

        body = brotli.decompress(body)
    return gzip.decompress(body) if coding == "gzip" else body


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            coding = self.headers.get("Content-Encoding", "")
            collector.posted.append((self.path, _unpacked(body, coding)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()
