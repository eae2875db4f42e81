"""The raised alerts as lines of `queue health`: they warn, and never make the container unhealthy."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import NoReturn

import redis

from tandem.broker.connection import connect
from tandem.config.settings import Settings
from tandem.health.checks import Check, Warn
from tandem.operate.alert_entries import AlertRecord, FileStore, RedisStore
from tandem.support.times import iso


def alert_checks(settings: Settings) -> list[Check]:
    """Return one check for each raised alert, of this container and of the queue."""
    records = FileStore().read()
    with suppress(redis.RedisError):  # the check of Redis reports it
        records |= RedisStore(connect(settings, decode=True)).read()
    return [Check(f"alert {name}", partial(_warn, record)) for name, record in records.items() if not record.cleared]


def _warn(record: AlertRecord) -> NoReturn:
    raise Warn(f"{record.text} (since {iso(record.since)})")
