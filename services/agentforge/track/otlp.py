"""Follow a run's log and export its spans by OTLP over HTTP. The usual OTEL_* variables say where and how."""

from __future__ import annotations

import importlib.util
import os
import threading
from typing import Any

from agentforge.kit.errors import MissingTool, Unavailable
from agentforge.track.position import Place, Position
from agentforge.track.source import Source
from agentforge.track.spans import Span, SpanFold
from agentforge.track.traceparent import Trace

KIND = "otel"


def tell_otel(source: Source, *, again: bool, stop: threading.Event, idle_s: float) -> int:
    """Until the run is final; the sequence of the last event that was told. Each span when it ends."""
    _check_installed()
    _ = source.request
    place = Place(source, KIND)
    with place.alone():
        position = Position() if again else place.load()
        exporter, fold, last = _Exporter(), SpanFold(source), position.told
        try:
            for record in source.follow(0, stop, idle_s):
                spans = list(fold.feed(record))
                if record["sequence"] <= position.told:
                    continue
                if spans and fold.trace.sampled:
                    exporter.export(spans, fold.trace)
                last = record["sequence"]
                if spans:
                    position = Position(told=last)
                    place.save(position)
        finally:
            exporter.close()
        return last


def _check_installed() -> None:
    for package in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            step = "pip install 'agentforge[tracing]'"
            raise MissingTool("OpenTelemetry's exporter is not installed", field=package, next_step=step)


class _Exporter:
    """Spans are built by hand: they begin and end as the log says, not when this process sees them."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource

        self._exporter = OTLPSpanExporter()
        self._resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "agentforge")})

    def export(self, spans: list[Span], trace: Trace) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._exporter.export([self._readable(span, trace) for span in spans]) is not SpanExportResult.SUCCESS:
            raise Unavailable(
                "the OTLP endpoint did not take the spans",
                reason="OTLP_UNREACHABLE",
                field="OTEL_EXPORTER_OTLP_ENDPOINT",
                next_step="Nothing is lost: `agentforge track RUN_ID --to otel` tells it later.",
            )

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span, trace: Trace) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def context(span_id: int, *, remote: bool = False) -> SpanContext:
            return SpanContext(trace.trace_id, span_id, remote, TraceFlags(TraceFlags.SAMPLED))

        return ReadableSpan(
            name=span.name,
            context=context(span.span_id),
            parent=context(span.parent, remote=span.parent == trace.parent) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=InstrumentationScope("agentforge.track"),
        )
