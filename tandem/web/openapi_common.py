"""The platform's part of the OpenAPI document: health, and the responses that are shared by all views."""

from __future__ import annotations

from tandem.config.settings import Settings
from tandem.openapi.description import Api, Json, Problem, answer, header, operation, problem, text
from tandem.web.auth import TOO_MANY_WRONG
from tandem.web.health import Alive, Readiness
from tandem.web.methods import SAFE_METHODS

_WAIT = {"Retry-After": header("Seconds after which it may work.", {"type": "integer", "minimum": 1}, example=5)}
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")


def describe(_settings: Settings) -> Api:
    """Describe the public routes for health checks."""
    serving = {
        "status": "ok",
        "checks": {
            "redis": {"status": "ok", "detail": "answers"},
            "queue": {"status": "ok", "detail": "accepts messages"},
        },
    }
    away = {"status": "fail", "checks": {"redis": {"status": "fail", "detail": "Redis does not answer: timed out"}}}
    alive = operation(
        "getHealth",
        "Is the web process alive?",
        {200: answer("It is.", Alive, example={"status": "ok"})},
        tag="health",
    )
    ready = operation(
        "getReadiness",
        "Can it serve?",
        {
            200: answer("It can; a warning names what work has to wait for.", Readiness, example=serving),
            503: answer("It cannot.", Readiness, example=away),
        },
        description="If there is an API_TOKEN, only clients with it get `detail`.",
        tag="health",
    )
    return Api(
        paths={
            "/healthz": {"get": alive | {"security": []}},
            "/readyz": {"get": ready | {"security": []}},
            "/metrics": {"get": _metrics("getMetrics", "Metrics of the queue, the workers and this container")},
            "/metrics/dramatiq": {"get": _metrics("getDramatiqMetrics", "The same under the names of dramatiq")},
        },
        models=(Alive, Readiness, Problem),
        tags={"health": "For load balancers and monitors."},
    )


def _metrics(name: str, summary: str) -> Json:
    kind = "text/plain"
    example = 'tandem_queue_ready{queue="default"} 0.0\n'
    return operation(
        name,
        summary,
        {200: text("The text format of Prometheus, or OpenMetrics.", kind, example=example)},
        description="If there is a METRICS_TOKEN, it is required instead of the API_TOKEN.",
        tag="health",
    )


def around(item: Json, settings: Settings) -> Json:
    """Return a path item with the responses that the platform can send instead of the view's."""
    return {key: _around(key.upper(), value, settings) if key in _METHODS else value for key, value in item.items()}


def _around(method: str, operation: Json, settings: Settings) -> Json:
    """Add the shared responses; public views are marked with `security: []`."""
    is_public = operation.get("security") == []
    own: Json = {}
    if not is_public:
        own["403"] = problem(403, "unknown Host: use the address, or add the name to ALLOWED_HOSTS")
        own["503"] = problem(
            503, "the queue does not answer, or its disk is nearly full: try again soon", headers=_WAIT
        )
        if settings.asks_for_token:
            challenge = header("Always Bearer.", {"type": "string"}, example='Bearer realm="tandem"')
            sentence = "authentication required: send the header Authorization: Bearer with the API_TOKEN"
            own["401"] = problem(401, sentence, headers={"WWW-Authenticate": challenge})
            operation["security"] = [{"token": []}]
            own["429"] = problem(429, TOO_MANY_WRONG, headers=_WAIT)
    if method not in SAFE_METHODS and settings.rate_limit:
        sentence = f"too many changes (more than {settings.rate_limit:,} a minute): try again in 3 s"
        own["429"] = problem(429, sentence, headers=_WAIT)
    own["500"] = problem(500, "internal error: see the server's log")
    return operation | {"responses": dict(sorted((own | operation["responses"]).items()))}
