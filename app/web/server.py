"""gunicorn's configuration, derived from the settings (`gunicorn --config python:app.web.server`)."""

from __future__ import annotations

import logging
import re
from typing import Any

from gunicorn.glogging import Logger

from app import settings

_settings = settings.current()

bind = "0.0.0.0:8000"
# gthread, with timeouts, which lets readers of events go on without a thread.
worker_class = "app.web.connections.Worker"
workers = _settings.web_workers
threads = _settings.web_threads
# One copy of the code for all workers; they connect to Redis after the fork, at their first command.
preload_app = True
# Heartbeats of the workers: a file on a disk can block (gunicorn's issue 1194).
worker_tmp_dir = "/dev/shm"  # noqa: S108
# Below web's stopwaitsecs in docker/supervisor/web.conf.
graceful_timeout = 20
timeout = 60
keepalive = 5
# X-Forwarded headers are the application's to believe, by PROXIES.
forwarded_allow_ips = ""
max_requests = 10_000
max_requests_jitter = 2_000
control_socket_disable = True
accesslog = "-"
access_log_format = '%(h)s "%(r)s" %(s)s %(b)s %(M)sms'
# Records go to the handlers that create_app sets up, in the one format of all processes.
logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "gunicorn.error": {"level": "NOTSET", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "NOTSET", "handlers": [], "propagate": True},
    },
}


class UnlessQuiet(Logger):  # type: ignore[misc]
    """Puts together no line of the access log that LOG_LEVEL would not let through."""

    @property
    def access_log_enabled(self) -> bool:
        return bool(self.access_log.isEnabledFor(logging.INFO))


logger_class = UnlessQuiet


def _unless_own_check(record: logging.LogRecord) -> bool:
    """Health check and monitor ask every 15 seconds; a line for each would be most of an idle log."""
    return not re.match(r'127\.0\.0\.1 "GET /(healthz|readyz) HTTP/1\.1" 200 ', record.getMessage())


def on_starting(_server: object) -> None:
    """Before the application is loaded, so that gunicorn's first lines have the format as well."""
    from app import logs

    logs.configure(_settings.log_level, _settings.log_format)
    logging.getLogger("gunicorn.access").addFilter(_unless_own_check)


def worker_exit(_server: object, _worker: object) -> None:
    """When the requests of a worker that recycles or stops are done: its readers of events come again elsewhere."""
    from app import event_streams

    event_streams.close()
