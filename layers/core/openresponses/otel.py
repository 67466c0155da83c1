"""Spans of turns, samples and tool calls to an OpenTelemetry collector, over OTLP/HTTP. Needs the extra `otel`.

Spans are made of reports, whole, when what they are of has ended; a thread of the SDK's sends them in batches. Where
and how is told by OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
OTEL_SERVICE_NAME, OTEL_BSP_SCHEDULE_DELAY, …
"""

from __future__ import annotations

import os
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from . import __version__, spans
from .telemetry import SampleReport, ToolReport, Trace, TurnReport

# How a turn may end without being an error of this side.
OK = frozenset({"completed", "incomplete", "refused"})


class OtelTelemetry:
    """A Telemetry. `close()` sends what is left."""

    def __init__(self) -> None:
        self._sender = BatchSpanProcessor(OTLPSpanExporter())
        name = os.environ.get("OTEL_SERVICE_NAME", "openresponses")
        self._resource = Resource.create({"service.name": name, "service.version": __version__})
        self._scope = InstrumentationScope("openresponses", __version__)

    def turn_ended(self, report: TurnReport) -> None:
        values = spans.attributes(spans.TURN, report)
        values |= {"response_id": report.response_id, "tenant": report.tenant}
        named = {f"openresponses.{name}": value for name, value in values.items()}
        error = None if report.status in OK else report.reason or report.status
        trace = report.trace
        self._send(
            "POST /v1/responses", SpanKind.SERVER, named, report, trace.span_id, trace.parent_id, error
        )

    def sample_ended(self, report: SampleReport) -> None:
        values = spans.attributes(spans.SAMPLE, report)
        self._send_below(f"chat {report.model}", SpanKind.CLIENT, values, report)

    def tool_ended(self, report: ToolReport) -> None:
        values = spans.attributes(spans.TOOL, report)
        self._send_below(f"execute_tool {report.name}", SpanKind.INTERNAL, values, report)

    def counted(self, metric: str, provider: str, model: str) -> None:
        """Metrics are Prometheus'."""

    def close(self) -> None:
        self._sender.shutdown()  # type: ignore[no-untyped-call]

    def _send_below(
        self, name: str, kind: SpanKind, values: dict[str, Any], report: SampleReport | ToolReport
    ) -> None:
        values.pop("duration_ms")
        self._send(name, kind, values, report, os.urandom(8).hex(), report.trace.span_id, report.error)

    def _send(
        self,
        name: str,
        kind: SpanKind,
        values: dict[str, Any],
        report: TurnReport | SampleReport | ToolReport,
        span_id: str,
        parent_id: str | None,
        error: str | None,
    ) -> None:
        trace = report.trace
        began = int(report.started * 1e9)
        span = ReadableSpan(
            name,
            _context(trace, span_id),
            parent=_context(trace, parent_id) if parent_id else None,
            resource=self._resource,
            attributes=values,
            kind=kind,
            instrumentation_scope=self._scope,
            status=Status(StatusCode.ERROR, error) if error else Status(),
            start_time=began,
            end_time=began + int(report.duration * 1e6),
        )
        self._sender.on_end(span)


def _context(trace: Trace, span_id: str) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(trace.trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=flags)
