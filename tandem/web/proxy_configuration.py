"""nginx's configuration, from the settings: written at a container's start, read by the program `proxy`.

nginx holds the connections. It passes complete requests to gunicorn and buffers its responses, so that slow clients
occupy no thread, and limits the concurrent requests of each client.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path

from tandem.config.settings import Settings
from tandem.web.peer import HEADER, SOCKET
from tandem.web.proxy import CONFIGURATION
from tandem.web.security_headers import SECURITY

TEMPLATE = Path("/etc/tandem/nginx.conf")

# How many clients can be connected besides the event streams, each with an incomplete header for up to ten seconds.
# nginx allocates 0.4 KB for each at the start.
CONNECTIONS = 4096
# Files besides the connections: bodies and responses that are buffered in files, and nginx's own.
OTHER_FILES = 1024
# Large bodies occupy the container's memory while they are received: limits for one client, and for all.
LARGE_BODIES_OF_A_CLIENT = 8
LARGE_BODIES = 24
RETRY_AFTER_SECONDS = 2
# Beyond the time of a message, which with QUEUE_TRANSPORT=sync is handled inside a request.
ANSWER_MARGIN = 60

# Status -> detail. `$…` are variables of nginx.
_PROBLEMS = {
    400: "invalid request: expected HTTP/1.1 as in RFC 9112",
    404: "not found",
    405: "this method is not allowed here",
    408: "the request was sent too slowly: send it faster",
    411: "the Content-Length is missing",
    413: "the body is too large: expected at most {longest_body:,} bytes (BODY_LIMIT)",
    414: "the request line is too long: expected at most 4,094 bytes",
    429: "$too_many: try again in a moment",
    431: "the header is too large: expected at most 100 fields of at most 8,190 bytes each",
    500: "internal error: see the server's log",
    501: "unsupported Transfer-Encoding: expected chunked",
    503: "the web process does not answer, because it is starting or stopping: try again soon",
    505: "unsupported version of HTTP: expected 1.0 or 1.1",
}
# nginx's own statuses and those of an unavailable gunicorn, by the status of the problem document.
_SAME = {503: (502, 504), 431: (494,)}
_WITH_RETRY = (429, 503)
# Methods that reach the application, which decides itself; nginx refuses TRACE and CONNECT.
_METHODS = "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"


def write(config: Settings) -> int:
    """Write the configuration for the program `proxy`; return how many files nginx may have open."""
    CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
    CONFIGURATION.write_text(configuration(TEMPLATE.read_text(), config))
    return _connections(config) + OTHER_FILES


def configuration(template: str, config: Settings) -> str:
    """Return nginx's configuration."""
    values = {
        "connections": _connections(config),
        "longest_body": config.body_limit,
        "longest_answer": config.message_time_limit + ANSWER_MARGIN,
        "forwarded": _forwarded(config.proxies),
        "requests": config.client_requests,
        "streams": config.client_event_streams,
        "large": LARGE_BODIES_OF_A_CLIENT,
        "any_large": LARGE_BODIES,
        "socket": SOCKET,
        "peer_header": HEADER,
        "access_log": "/dev/stdout own if=$own" if config.log_level in ("DEBUG", "INFO") else "off",
        "problems": _problems(config.body_limit),
    }
    return template % values


def _forwarded(proxies: int) -> str:
    """Return the map's line for the client's address: that many hops from the end of X-Forwarded-For."""
    if not proxies:
        return ""
    # Longer names would not be counted: nginx's keys have at most 255 bytes.
    hop, later = "(?<hop>[^,[:space:]]{1,64})", f"(?:,[^,]*){{{proxies - 1}}}"
    return f'"~(?:^|,)[[:space:]]*{hop}[[:space:]]*{later}$" $hop;'


def _problems(longest_body: int) -> str:
    return "\n".join(_problem(status, detail.format(longest_body=longest_body)) for status, detail in _PROBLEMS.items())


def _quoted(text: str) -> str:
    """Return a text as a string of nginx's configuration."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _problem(status: int, detail: str) -> str:
    headers = {"Cache-Control": "no-store", **SECURITY}
    if status == 405:
        headers["Allow"] = _METHODS
    if status in _WITH_RETRY:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    body = json.dumps({"title": HTTPStatus(status).phrase, "status": status, "detail": detail})
    # An invalid request line has no path, which a named location would need.
    path = f"/.proxy/{status}"
    same = " ".join(map(str, (status, *_SAME.get(status, ()))))
    lines = [f'add_header {name} "{value}" always;' for name, value in headers.items()]
    inside = ["default_type application/problem+json;", *lines, f"return {status} {_quoted(body)};"]
    return "\n".join(
        [
            f"        error_page {same} ={status} {path};",
            f"        location = {path} {{",
            "            internal;",
            *(f"            {line}" for line in inside),
            "        }",
        ]
    )


def _connections(config: Settings) -> int:
    """Return the number of connections; an event stream has two: the client's and the one to gunicorn."""
    return CONNECTIONS + 2 * config.web_workers * config.event_readers
