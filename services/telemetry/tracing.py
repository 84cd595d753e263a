"""Traces of calls across services, by OpenTelemetry: one trace a query, a span a call and a stage.

The libraries come with the extra `telemetry`. Without it, or without a place to send spans to, nothing is
traced and nothing imported. A trace goes on from the caller's by the W3C header `traceparent`.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from wordspot.services.errors import ServiceError

OTLP = "otlp"
INSTRUMENTATION = "wordspot"
TRACEPARENT = "traceparent"


class Tracer:
    """Makes spans and hands them on.

    Args:
        destination: "otlp" for a collector, which the variables OTEL_EXPORTER_OTLP_* name, or the path of a
            file that gets a line of JSON a span.
        service: the name of this process in traces.

    Raises:
        ServiceError: the extra `telemetry` is not installed, or the file cannot be written.
    """

    def __init__(self, destination: str, service: str) -> None:
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise ServiceError("traces need the extra telemetry") from error
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        self._provider.add_span_processor(BatchSpanProcessor(_exporter(destination)))
        self._tracer = self._provider.get_tracer(INSTRUMENTATION)

    @contextmanager
    def serving(self, method: str, metadata: Mapping[str, str]) -> Iterator[None]:
        """Spans a call that is served, within its caller's trace. method: /package.Service/Method."""
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(dict(metadata))
        service, _, name = method.strip("/").rpartition("/")
        with self._tracer.start_as_current_span(
            f"{service}/{name}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def stage(self, name: str) -> AbstractContextManager[object]:
        """Returns a span of a stage within the current call."""
        span: AbstractContextManager[object] = self._tracer.start_as_current_span(name)
        return span

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


def current_traceparent() -> str:
    """Returns the header by which a call goes on with this thread's trace; "" where there is none."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(TRACEPARENT, "")


def current_trace_id() -> str:
    """Returns the hexadecimal id of this thread's trace; "" where there is none."""
    return current_traceparent().partition("-")[2][:32]


def span_of(tracer: Tracer | None, method: str, metadata: Mapping[str, str]) -> AbstractContextManager[None]:
    """Returns the span of a call, or of nothing without a tracer."""
    return nullcontext() if tracer is None else tracer.serving(method, metadata)


def _exporter(destination: str) -> Any:
    """Raises ServiceError."""
    if destination != OTLP:
        return _file_exporter(Path(destination))
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ServiceError("traces to a collector need the extra telemetry") from error
    return OTLPSpanExporter()


def _file_exporter(path: Path) -> Any:
    """Raises ServiceError."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class FileExporter(SpanExporter):
        """Appends spans to a file, a line of JSON each."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            try:
                self._file = path.open("a", encoding="utf-8")
            except OSError as error:
                raise ServiceError(f"cannot write traces to {path}: {error.strerror}") from error

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            """Writes spans."""
            lines = [json.dumps(json.loads(span.to_json(indent=None))) + "\n" for span in spans]
            try:
                with self._lock:
                    self._file.writelines(lines)
                    self._file.flush()
            except OSError:
                return SpanExportResult.FAILURE
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            """Closes the file."""
            self._file.close()

    return FileExporter()
