"""What supervisor's helpers read from the environment as it is.

The entrypoint has checked it, and has exported what has a default. The library that checks the settings costs more
memory than a whole helper, so they live without it.
"""

from __future__ import annotations

from os import environ
from pathlib import Path

EMBEDDED_REDIS_URL = "unix:///run/tandem/redis.sock"


def secret(name: str) -> str:
    """The value of NAME, or what is in the file that NAME_FILE names, or nothing. Raises OSError."""
    if path := environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environ.get(name, "")


def redis_url() -> str:
    """The URL of the Redis in use, with its password: never log it. Raises OSError."""
    return secret("REDIS_URL") or EMBEDDED_REDIS_URL
