"""The Flask application factory."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from tandem import logs, registry, runtime
from tandem.config import settings
from tandem.registry import conflicts
from tandem.web import body_limit, csrf, headers, health, metrics, openapi, problems, rate_limit, static, tracing
from tandem.web.auth import Authentication
from tandem.web.body_limit import MAX_BODY
from tandem.web.ops import views as ops
from tandem.workload import Workload


def create_app(config: settings.Settings | None = None) -> Flask:
    """Create the application of one process. `config`: settings other than those of the environment, for tests."""
    config = config or settings.current()
    logs.configure(config.log_level, config.log_format)
    loaded = registry.load(config)
    app = Flask("tandem.web", static_folder=None)
    # A route that accepts more sets request.max_content_length; the proxy rejects bodies over BODY_LIMIT.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    problems.register(app)
    # First, so that requests that are refused are counted as well.
    metrics.register(app, config, loaded)
    if tracer := runtime.get_broker().tracing:
        tracing.register(app, tracer)
    authentication = _protect(app, config)
    health.register(app, config, loaded, authentication)
    openapi.register(app, config, loaded)
    app.register_blueprint(ops.make_blueprint(config, loaded))
    _register_routes(app, config, loaded)
    if any(workload.database for workload in loaded):
        from tandem.sql import requests

        requests.register(app, problems.problem)
    return app


def _register_routes(app: Flask, config: settings.Settings, workloads: Iterable[Workload]) -> None:
    """Add the routes of all workloads. Raises LoadError if two of them have the same route."""
    claimed = [(conflicts.PLATFORM, route) for route in _routes(app)]
    for workload in workloads:
        if workload.blueprint:
            before = _routes(app)
            app.register_blueprint(workload.blueprint(config))
            claimed += [(workload.name, route) for route in _routes(app)[len(before) :]]
    if lines := list(conflicts.duplicates("have the route", claimed)):
        raise registry.LoadError(lines)


def _routes(app: Flask) -> list[str]:
    """Return method and path of each route, in the order in which they were added."""
    rules = [(rule, (rule.methods or set()) - {"HEAD", "OPTIONS"}) for rule in app.url_map.iter_rules()]
    return [f"{method} {rule}" for rule, methods in rules for method in sorted(methods)]


def _protect(app: Flask, config: settings.Settings) -> Authentication:
    """Add the checks around every view: first authentication, then rate limits."""
    if config.proxies:
        # Only their X-Forwarded-For and -Proto: a client could set the others.
        fixed = ProxyFix(app.wsgi_app, x_for=config.proxies, x_proto=config.proxies, x_host=0, x_prefix=0)
        app.wsgi_app = fixed  # type: ignore[method-assign]
    headers.register(app)
    static.register(app)
    csrf.register(app, config)
    authentication = Authentication(config)
    authentication.register(app)
    rate_limit.register(app, config)
    body_limit.register(app, config)
    return authentication
