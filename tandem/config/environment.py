"""Reads settings for supervisor's helper processes directly from the environment.

The entrypoint has validated it and exported the defaults. The library that validates the settings uses more memory than
a whole helper process, so they do not load it.
"""

from __future__ import annotations

from os import environ
from pathlib import Path

EMBEDDED_REDIS_URL = "unix:///run/tandem/redis.sock"


def secret(name: str) -> str:
    """Return the value of NAME, or the content of the file that NAME_FILE names, or ''. Raises OSError."""
    if path := environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environ.get(name, "")


def api_token() -> str:
    """Return a valid token of the API: API_TOKEN or the first of API_TOKENS, or ''. Raises OSError."""
    if token := secret("API_TOKEN"):
        return token
    first = secret("API_TOKENS").strip(", \n").replace("\n", ",").partition(",")[0]
    return first.partition(":")[2].strip()


def redis_url() -> str:
    """Return the URL of the Redis in use, with its password: never log it. Raises OSError."""
    return secret("REDIS_URL") or EMBEDDED_REDIS_URL


def is_set(name: str) -> bool:
    """Return whether the user has set NAME, directly or by a file."""
    return bool(environ.get(name) or environ.get(f"{name}_FILE"))


def is_debugged() -> bool:
    """Return whether editors may stop the processes of this container: DEBUG_PORT is set."""
    return environ.get("DEBUG_PORT", "0") != "0"


def application() -> str:
    """Return the name of the application's package, which defines `workloads`: TANDEM_APP, or app."""
    return environ.get("TANDEM_APP") or "app"
