"""Tandem's public API: the names that an application and its workloads may import. Other modules are private.

    from tandem import Check, SettingsBase, Workload, fields, job

| for | names |
| --- | --- |
| defining a workload | Workload, Placed, Program, Database, Check, Warn, Away, Fail |
| defining settings | SettingsBase, fields, values; Settings: the platform's |
| sending messages | get_broker, send_many, group; QueueFull, DuplicateMessage |
| with a record | JobRecord, IdempotencyKey, Quota, OutboxMessage, ENQUEUE; QuotaExceeded |
| actors | job, Snooze, ExpectedError, PermanentError, NoProgress, Purged, Canceled |
| schedules | Schedule; schedules: those that are added at run time |
| Redis | connect, Clock |
| SQL | Database; sql: session, transaction |
| counting | metrics: Counter, Histogram |
| HTTP | openapi, sse, safe_http, Destinations |
| SQL | the module tandem.sql, which needs further packages |

Names are imported lazily: `import tandem` alone costs nothing. Accessing any of them sets the broker on which
`@dramatiq.actor` declares actors.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tandem import metrics, openapi, safe_http, schedules, sql, sse
    from tandem.broker.clock import Clock
    from tandem.broker.connection import connect
    from tandem.broker.errors import Canceled, ExpectedError, NoProgress, PermanentError, Purged, Snooze
    from tandem.broker.groups import group
    from tandem.broker.idempotency import IdempotencyKey, JobRecord, QueueFull, Quota, QuotaExceeded
    from tandem.broker.outbox import ENQUEUE, OutboxMessage
    from tandem.broker.send_many import send_many
    from tandem.broker.unique import DuplicateMessage
    from tandem.config import settings_base as fields
    from tandem.config import values
    from tandem.config.destinations import Destinations
    from tandem.config.settings import Settings
    from tandem.config.settings_base import SettingsBase
    from tandem.health.checks import Away, Check, Fail, Warn
    from tandem.process.programs import Program
    from tandem.runtime import get_broker
    from tandem.schedules.schedule import Schedule
    from tandem.worker import job
    from tandem.workload import Database, Placed, Workload

__all__ = [
    "ENQUEUE",
    "Away",
    "Canceled",
    "Check",
    "Clock",
    "Database",
    "Destinations",
    "DuplicateMessage",
    "ExpectedError",
    "Fail",
    "IdempotencyKey",
    "JobRecord",
    "NoProgress",
    "OutboxMessage",
    "PermanentError",
    "Placed",
    "Program",
    "Purged",
    "QueueFull",
    "Quota",
    "QuotaExceeded",
    "Schedule",
    "Settings",
    "SettingsBase",
    "Snooze",
    "Warn",
    "Workload",
    "connect",
    "fields",
    "get_broker",
    "group",
    "job",
    "metrics",
    "openapi",
    "safe_http",
    "schedules",
    "send_many",
    "sql",
    "sse",
    "values",
]

_NAMES_OF_MODULES = {
    "tandem.broker.clock": ("Clock",),
    "tandem.broker.connection": ("connect",),
    "tandem.broker.errors": ("Canceled", "ExpectedError", "NoProgress", "PermanentError", "Purged", "Snooze"),
    "tandem.broker.groups": ("group",),
    "tandem.broker.idempotency": ("IdempotencyKey", "JobRecord", "QueueFull", "Quota", "QuotaExceeded"),
    "tandem.broker.outbox": ("ENQUEUE", "OutboxMessage"),
    "tandem.broker.send_many": ("send_many",),
    "tandem.broker.unique": ("DuplicateMessage",),
    "tandem.config.settings_base": ("SettingsBase",),
    "tandem.config.destinations": ("Destinations",),
    "tandem.config.settings": ("Settings",),
    "tandem.health.checks": ("Away", "Check", "Fail", "Warn"),
    "tandem.process.programs": ("Program",),
    "tandem.runtime": ("get_broker",),
    "tandem.schedules.schedule": ("Schedule",),
    "tandem.workload": ("Database", "Placed", "Workload"),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF_MODULES.items() for name in names}
_MODULES = {
    "fields": "tandem.config.settings_base",
    "job": "tandem.worker.job",
    "metrics": "tandem.metrics",
    "openapi": "tandem.openapi",
    "safe_http": "tandem.safe_http",
    "schedules": "tandem.schedules",
    "sql": "tandem.sql",
    "sse": "tandem.sse",
    "values": "tandem.config.values",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF and name not in _MODULES:
        raise AttributeError(f"module 'tandem' has no attribute {name!r}")
    import_module("tandem.runtime")
    return import_module(_MODULES[name]) if name in _MODULES else getattr(import_module(_MODULE_OF[name]), name)
