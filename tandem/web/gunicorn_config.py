"""gunicorn's configuration, derived from the settings (`gunicorn --config python:tandem.web.gunicorn_config`)."""

from __future__ import annotations

import gc
import logging
import re
from typing import Any

from gunicorn.glogging import Logger

from tandem.config import settings
from tandem.support.escapes import without_secrets
from tandem.web.auth import CALLER
from tandem.web.peer import SOCKET

_settings = settings.current()

# After the proxy (tandem/web/proxy.py), which listens on port 8000.
bind = f"unix:{SOCKET}"
# gthread, extended so that event streams occupy no thread.
worker_class = "tandem.web.connections.Worker"
# An editor attaches to one process.
workers = 1 if _settings.debug_port else _settings.web_workers
threads = _settings.web_threads
# One copy of the code for all workers; they connect to Redis after the fork, at their first command.
preload_app = not _settings.reload
# Heartbeats of the workers: a file on a disk can block (gunicorn's issue 1194).
worker_tmp_dir = "/dev/shm"  # noqa: S108
# Below web's stopwaitsecs in docker/supervisor/programs/web.conf.
graceful_timeout = 18
# A breakpoint stops all threads, also the one with the heartbeat.
timeout = 0 if _settings.debug_port else 60
# The proxy opens a connection for each request: a kept one could be closed just when a request arrives.
keepalive = 0
# The application evaluates the X-Forwarded headers, by PROXIES.
forwarded_allow_ips = ""
# gunicorn would trust every client on a Unix socket.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
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
    """Skips formatting a line of the access log if LOG_LEVEL suppresses it."""

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> Any:
        """Add the name of the caller's token to the address, and mask tokens in the URL."""
        found = super().atoms(resp, req, environ, request_time)
        if name := environ.get(CALLER):
            found["h"] = f"{found['h']} {name}"
        found["r"] = _TOKEN_IN_URL.sub(r"\1******", found["r"])
        return found

    @property
    def access_log_enabled(self) -> bool:
        return bool(self.access_log.isEnabledFor(logging.INFO))


_TOKEN_IN_URL = re.compile(r"([?&](?:access_|api_|)(?:token|key)=)[^&\s]*", re.IGNORECASE)
logger_class = UnlessQuiet


def _unless_own_check(record: logging.LogRecord) -> bool:
    """Drop the requests of health check and monitor, every 15 seconds: they would be most of an idle log."""
    return not re.match(r'127\.0\.0\.1 (?:\S+ )?"GET /(healthz|readyz) HTTP/1\.1" 200 ', record.getMessage())


def _mask_secrets(record: logging.LogRecord) -> bool:
    """Mask tokens that a client has put into a query by mistake."""
    record.msg, record.args = without_secrets(record.getMessage()), None
    return True


def on_starting(_server: object) -> None:
    """Set up logging before the application is loaded, so that gunicorn's first lines have the format as well."""
    from tandem import logs

    logs.configure(_settings.log_level, _settings.log_format)
    logging.getLogger("gunicorn.access").addFilter(_unless_own_check)
    for name in ("gunicorn.access", "gunicorn.error"):
        logging.getLogger(name).addFilter(_mask_secrets)


def when_ready(_server: object) -> None:
    """Keep the application's objects from the garbage collector, whose marks would copy their pages in each worker.

    See gc.freeze in Python's documentation. Called after the application is loaded and before the first fork.
    """
    gc.collect()
    gc.freeze()


def post_worker_init(_worker: object) -> None:
    """Begin to store the counts of this process, and let an editor attach, if DEBUG_PORT is set."""
    from tandem.web import metrics

    metrics.flusher().start()
    if _settings.debug_port:
        from tandem.process import debugger

        debugger.listen(_settings.debug_port)


def worker_exit(_server: object, _worker: object) -> None:
    """Close the event streams of a worker that has finished its requests and exits: clients reconnect elsewhere."""
    from tandem import runtime, sse
    from tandem.broker.telemetry import flush
    from tandem.web import metrics

    sse.close()
    metrics.flusher().stop()
    flush(runtime.get_broker())
