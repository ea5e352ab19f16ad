"""OpenTelemetry's SDK, as the traces of this process need it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .release import release

Ids = tuple[int, int]
NOTHING = Context()


class Otel:
    """Makes spans, and sends them to the collector from a thread."""

    def __init__(self, kind: str) -> None:
        names = {"service.version": release()}
        if "OTEL_SERVICE_NAME" not in os.environ:
            names[SERVICE_NAME] = f"progrock-{kind}"
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=Resource.create(names),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("progrock")

    def request(self, name: str, headers: Mapping[str, str]) -> Span:
        """Begin the span of a request, below the caller's if that names its own."""
        carrier = {key.lower(): value for key, value in headers.items()}
        parent = TraceContextTextMapPropagator().extract(carrier, NOTHING)
        return self._tracer.start_span(name, parent, SpanKind.SERVER)

    def add(
        self,
        ids: Ids,
        name: str,
        since_ns: int,
        until_ns: int | None,
        asked_by: Span | None,
    ) -> None:
        """Add a span that is over to a job's trace."""
        links = [Link(asked_by.get_span_context())] if asked_by else []
        span = self._tracer.start_span(
            name, self._below(ids), links=links, start_time=since_ns
        )
        span.end(until_ns)

    def add_whole(
        self,
        ids: Ids,
        name: str,
        since_ns: int,
        until_ns: int,
        told: Mapping[str, str],
    ) -> None:
        """Add the span of a whole job, the root of its trace."""
        self._ids.next = ids
        span = self._tracer.start_span(name, NOTHING, start_time=since_ns)
        span.set_attributes(_named(told))
        span.end(until_ns)

    @contextmanager
    def call(self, ids: Ids, name: str) -> Iterator[None]:
        """Add a span for the block, with its error if it raises one."""
        with self._tracer.start_as_current_span(
            name, self._below(ids), SpanKind.CLIENT
        ):
            yield

    def close(self) -> None:
        """Send the last spans."""
        self._provider.shutdown()

    def _below(self, ids: Ids) -> Context:
        """The context of a job's whole span, sampled or not as that will be."""
        said = self._provider.sampler.should_sample(NOTHING, ids[0], "job")
        is_sampled = said.decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
        context = SpanContext(*ids, is_remote=True, trace_flags=flags)
        return set_span_in_context(NonRecordingSpan(context), NOTHING)


class _Ids(RandomIdGenerator):
    """Random ids, but for a root whose ids are known."""

    next: Ids | None = None

    def generate_trace_id(self) -> int:
        return self.next[0] if self.next else super().generate_trace_id()

    def generate_span_id(self) -> int:
        known, self.next = self.next, None
        return known[1] if known else super().generate_span_id()


def _named(told: Mapping[str, str]) -> dict[str, str]:
    return {f"progrock.{name}": text for name, text in told.items() if text}
