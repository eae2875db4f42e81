"""/metrics: Prometheus' text format, and the requests of this container that it counts.

https://prometheus.io/docs/instrumenting/exposition_formats
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING

import redis
from flask import Flask, Response, g, request

from tandem import runtime
from tandem.broker.connection import connect
from tandem.config import settings as configuration
from tandem.config.settings import Settings
from tandem.metrics import instruments
from tandem.metrics.flusher import Flusher
from tandem.metrics.instruments import Counter, Histogram, Instrument
from tandem.registry import LoadError, conflicts
from tandem.web.auth import RIGHT, TokenGate, own_tokens, refusal
from tandem.workload import Workload

if TYPE_CHECKING:
    from tandem.metrics.exposition import Sources

REQUESTS = Counter("tandem_http_requests", "Requests to this container.", ("route", "method", "status"), per_host=True)
SECONDS = Histogram(
    "tandem_http_request_seconds", "How long this container took to answer.", ("route", "method"), per_host=True
)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_NO_ROUTE = "(none)"


def register(app: Flask, settings: Settings, workloads: Iterable[Workload]) -> None:
    """Add the routes, and count all requests. Raises LoadError if two metrics have the same name."""
    _count(app)
    named = _named(workloads, settings)
    gate = TokenGate({"": settings.metrics_token.get_secret_value()} if settings.metrics_token else {}, settings)

    @cache
    def sources() -> Sources:
        # Here, so that a container that nobody scrapes does not load prometheus_client.
        from tandem.metrics.exposition import Sources

        actors = runtime.get_broker().actors.values()
        return Sources(
            connect(settings),
            {actor.actor_name: actor.queue_name for actor in actors},
            instruments=[REQUESTS, SECONDS, *(one for one in named if isinstance(one, Instrument))],
            collectors=[one for one in named if not isinstance(one, Instrument)],
        )

    def answer(*, of_dramatiq: bool) -> Response:
        from tandem.metrics.exposition import render

        access, _ = gate.access()
        if access != RIGHT:
            return refusal(access, "METRICS_TOKEN")
        try:
            # What this process has counted until now; the others do so every second.
            instruments.flush(sources().client)
            redis_answers = True
        except redis.RedisError:
            redis_answers = False
        accept = request.headers.get("Accept", "")
        body, content_type = render(sources(), accept, of_dramatiq=of_dramatiq, redis_answers=redis_answers)
        return Response(body, content_type=content_type)

    def metrics() -> Response:
        return answer(of_dramatiq=False)

    def metrics_of_dramatiq() -> Response:
        return answer(of_dramatiq=True)

    for path, view in (("/metrics", metrics), ("/metrics/dramatiq", metrics_of_dramatiq)):
        app.get(path)(own_tokens(view) if settings.metrics_token else view)


def _named(workloads: Iterable[Workload], settings: Settings) -> list[object]:
    """Return the metrics of all workloads. Raises LoadError if two have the same name."""
    owned = [
        (workload.name, one)
        for workload in workloads
        for one in (workload.metrics(settings) if callable(workload.metrics) else workload.metrics)
    ]
    claims = [(owner, one.name) for owner, one in owned if isinstance(one, Instrument)]
    if lines := list(conflicts.duplicate_metrics(claims)):
        raise LoadError(lines)
    return [one for _, one in owned]


@cache
def flusher() -> Flusher:
    """Return what stores the counts of this process, as long as it serves."""
    return Flusher(lambda: connect(configuration.current()))


def _count(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        g.tandem_began = perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else _NO_ROUTE
        method = request.method if request.method in _METHODS else "other"
        REQUESTS.add(route=route, method=method, status=response.status_code)
        if "tandem_began" in g:
            SECONDS.observe(perf_counter() - g.tandem_began, route=route, method=method)
        return response
