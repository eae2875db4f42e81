"""The Flask application factory."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app import logs, settings, workloads
from app.queueing import broker
from app.web import headers, health, openapi, origins, problems, rate, static
from app.web.guard import Guard

# The longest body of a request, in bytes. A route that takes more sets request.max_content_length.
LONGEST_BODY = 65_536


def create_app(config: settings.Settings | None = None) -> Flask:
    """The application of one process. `config`: settings other than those of the environment, for tests."""
    config = config or settings.current()
    logs.configure(config.log_level, config.log_format)
    broker.install(config)
    app = Flask("app.web", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LONGEST_BODY
    problems.register(app)
    guard = _protect(app, config)
    loaded = workloads.load()
    health.register(app, config, loaded, guard)
    openapi.register(app, config, loaded)
    for workload in loaded:
        if workload.blueprint:
            app.register_blueprint(workload.blueprint(config))
    return app


def _protect(app: Flask, config: settings.Settings) -> Guard:
    """What happens around every view: first who asks, then how often."""
    if config.proxies:
        # Their X-Forwarded-For and -Proto only: others would be a client's own words.
        fixed = ProxyFix(app.wsgi_app, x_for=config.proxies, x_proto=config.proxies, x_host=0, x_prefix=0)
        app.wsgi_app = fixed  # type: ignore[method-assign]
    headers.register(app)
    static.register(app)
    origins.register(app, config)
    guard = Guard(config)
    guard.register(app)
    rate.register(app, config)
    return guard
