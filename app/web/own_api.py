"""The document's part of the house itself: health, and what happens around every view."""

from __future__ import annotations

from app.api.description import Api, Json, Problem, answer, header, operation, problem
from app.settings import Settings
from app.web.health import Alive, Readiness
from app.web.origins import SAFE_METHODS

_WAIT = {"Retry-After": header("Seconds after which it may work.", {"type": "integer", "minimum": 1}, example=5)}
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")


def describe(_settings: Settings) -> Api:
    """Health, for everybody."""
    serving = {
        "status": "ok",
        "checks": {
            "redis": {"status": "ok", "detail": "answers"},
            "queue": {"status": "ok", "detail": "takes messages"},
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
        description="`detail` is told only to those who know the API_TOKEN, where there is one.",
        tag="health",
    )
    return Api(
        paths={"/healthz": {"get": alive | {"security": []}}, "/readyz": {"get": ready | {"security": []}}},
        models=(Alive, Readiness, Problem),
        tags={"health": "For load balancers and monitors."},
    )


def around(item: Json, settings: Settings) -> Json:
    """A path item with what the house can answer before and instead of its views."""
    return {key: _around(key.upper(), value, settings) if key in _METHODS else value for key, value in item.items()}


def _around(method: str, operation: Json, settings: Settings) -> Json:
    """Views that are open say so with `security: []`."""
    is_open = operation.get("security") == []
    own: Json = {}
    if not is_open:
        own["403"] = problem(403, "this Host is not known here: use the address, or name it in ALLOWED_HOSTS")
        own["503"] = problem(503, "the queue does not answer: try again soon", headers=_WAIT)
        if settings.api_token:
            challenge = header("Always Bearer.", {"type": "string"}, example='Bearer realm="tandem"')
            sentence = "this needs the header Authorization: Bearer with the API_TOKEN"
            own["401"] = problem(401, sentence, headers={"WWW-Authenticate": challenge})
            operation["security"] = [{"token": []}]
    if method not in SAFE_METHODS and settings.rate_limit:
        sentence = f"at most {settings.rate_limit:,} changes a minute are allowed: try again in 3 s"
        own["429"] = problem(429, sentence, headers=_WAIT)
    own["500"] = problem(500, "the server made a mistake; it is in its log")
    return operation | {"responses": dict(sorted((own | operation["responses"]).items()))}
