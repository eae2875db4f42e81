"""Spans of requests, of sending and of attempts, sent by OTLP over HTTP.

Names and attributes follow OpenTelemetry's conventions for messaging and HTTP
(https://opentelemetry.io/docs/specs/semconv). A message carries its trace in the option `traceparent`, so that request,
sending and every attempt are one trace.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from dramatiq import Message
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tandem import logs
from tandem.broker.telemetry import TRACEPARENT
from tandem.config.settings import Settings

# An export that takes longer is given up (seconds); its spans are lost, and nothing else.
EXPORT_SECONDS = 5
#: How long a process that ends waits for its last spans (ms).
FLUSH_MS = 3_000
_SYSTEM = "tandem"
_propagator = TraceContextTextMapPropagator()


@dataclass
class _Attempt:
    span: Span

    def end(self, outcome: str, error: BaseException | None) -> None:
        """Note how the attempt ended; a retried or failed one is an error."""
        self.span.set_attribute("tandem.outcome", outcome)
        if error is not None and outcome in ("retried", "failed"):
            _note_error(self.span, error)


@dataclass
class _Request:
    span: Span

    def answered(self, status: int) -> None:
        """Note the status of the answer; a fault of the server is an error."""
        self.span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self.span.set_status(StatusCode.ERROR)


class Tracing:
    """The spans of one process. The exporter's thread starts anew after a fork."""

    def __init__(self, settings: Settings) -> None:
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME") or settings.app_name,
                "service.version": version("tandem"),
                "service.instance.id": f"{socket.gethostname()}:{logs.process_name()}",
            }
        )
        url = str(settings.otel_exporter_otlp_endpoint).rstrip("/")
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=EXPORT_SECONDS))
        )
        # Also for what instruments itself: an HTTP client, a driver of a database.
        trace.set_tracer_provider(self._provider)
        self._tracer = self._provider.get_tracer("tandem", version("tandem"))

    def sent(self, message: Message[Any]) -> Message[Any]:
        """Return the message with the trace that it is sent in."""
        carrier: dict[str, str] = {}
        span = self._tracer.start_span(
            f"send {message.queue_name}", kind=SpanKind.PRODUCER, attributes=_attributes(message, "send")
        )
        _propagator.inject(carrier, trace.set_span_in_context(span))
        span.end()
        return message.copy(options=carrier)

    @contextmanager
    def attempt(self, message: Any, *, number: int) -> Iterator[_Attempt]:
        """Trace the attempt that runs in the block."""
        parent = _propagator.extract(_carrier(message.options.get(TRACEPARENT)))
        attributes: dict[str, str | int] = {**_attributes(message, "process"), "tandem.attempt": number}
        span = self._tracer.start_span(
            f"process {message.queue_name}", parent, kind=SpanKind.CONSUMER, attributes=attributes
        )
        with _current(span, parent):
            yield _Attempt(span)

    @contextmanager
    def request(self, method: str, route: str, headers: Mapping[str, str]) -> Iterator[_Request]:
        """Trace the request that is answered in the block."""
        parent = _propagator.extract(_carrier(headers.get("Traceparent")))
        span = self._tracer.start_span(
            f"{method} {route}",
            parent,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
        )
        with _current(span, parent):
            yield _Request(span)

    def flush(self) -> None:
        """Send what is left, before the process ends."""
        self._provider.force_flush(FLUSH_MS)


@contextmanager
def _current(span: Span, parent: context.Context) -> Iterator[None]:
    """Make it the span that others are children of, and put its trace into the log."""
    token = context.attach(trace.set_span_in_context(span, parent))
    try:
        with logs.bound(trace_id=trace.format_trace_id(span.get_span_context().trace_id)):
            yield
    finally:
        context.detach(token)
        span.end()


def _carrier(traceparent: object) -> dict[str, str]:
    # Anybody can send a message with any options.
    return {TRACEPARENT: traceparent} if isinstance(traceparent, str) else {}


def _attributes(message: Any, operation: str) -> dict[str, str]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": message.queue_name,
        "messaging.message.id": message.message_id,
        "tandem.actor": message.actor_name,
    }


def _note_error(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR, str(error)[:500])
