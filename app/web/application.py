"""The Flask application factory."""

from __future__ import annotations

from flask import Flask

from app import logs, settings, workloads
from app.queueing import broker
from app.web import health, problems

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
    loaded = workloads.load()
    health.register(app, config, loaded)
    for workload in loaded:
        if workload.blueprint:
            app.register_blueprint(workload.blueprint(config))
    return app
