"""Traces of requests, if OTEL_EXPORTER_OTLP_ENDPOINT is set."""

from __future__ import annotations

from contextlib import ExitStack

from flask import Flask, Response, g, request

from tandem.broker.telemetry import Tracing

#: What health checks and Prometheus ask all the time.
_NOT_TRACED = ("/healthz", "/readyz", "/metrics", "/metrics/dramatiq")


def register(app: Flask, tracing: Tracing) -> None:
    """Make a span of each request; sending in it is its child."""

    @app.before_request
    def begin() -> None:
        if request.path in _NOT_TRACED:
            return
        route = request.url_rule.rule if request.url_rule else "(none)"
        stack = ExitStack()
        g.tandem_span = stack.enter_context(tracing.request(request.method, route, dict(request.headers)))
        g.tandem_trace = stack

    @app.after_request
    def note(response: Response) -> Response:
        if "tandem_span" in g:
            g.tandem_span.answered(response.status_code)
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        stack = g.pop("tandem_trace", None)
        if stack is not None:
            stack.close()
