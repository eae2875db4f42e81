"""The raised alerts as lines of `queue health`: they warn, and never make the container unhealthy."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import NoReturn

import redis

from app.operations.entries import Entry, FileStore, RedisStore, iso
from app.queueing.checks import Check, Warn
from app.queueing.connection import connect
from app.settings import Settings


def alert_checks(settings: Settings) -> list[Check]:
    """One check for each alert that is raised, of this container and of the queue."""
    entries = FileStore().read()
    with suppress(redis.RedisError):  # the check of Redis says so
        entries |= RedisStore(connect(settings, decode=True)).read()
    return [Check(f"alert {name}", partial(_warn, entry)) for name, entry in entries.items() if not entry.cleared]


def _warn(entry: Entry) -> NoReturn:
    raise Warn(f"{entry.text} (since {iso(entry.since)})")
