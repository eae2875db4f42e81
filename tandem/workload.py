"""The contract between the platform and a workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsBase
from tandem.health.checks import Check
from tandem.process.programs import Program

if TYPE_CHECKING:  # a worker needs neither, and both use memory
    from click import Command
    from dramatiq import Middleware
    from flask import Blueprint
    from sqlalchemy import MetaData

    from tandem.openapi.description import Api
    from tandem.schedules.schedule import Schedule


def _none(_settings: Settings) -> Sequence[Check]:
    return ()


def _unbounded(_settings: Settings) -> Mapping[str, int]:
    return {}


@dataclass(frozen=True)
class Placed:
    """A dramatiq middleware and its place: before or after the one of a class, as of `Broker.add_middleware`.

    Without a place it comes last but for the time limit.
    """

    middleware: Middleware
    before: type[Middleware] | None = None
    after: type[Middleware] | None = None


@dataclass(frozen=True)
class Database:
    """How a workload uses SQL, by tandem.sql.

    migrations: the folder of its migrations, of Alembic. metadata: SQLAlchemy's, of its tables, which
    `queue db revision` compares with the database.
    """

    migrations: Path | None = None
    metadata: MetaData | None = None


@dataclass(frozen=True)
class Workload:
    """A kind of work: importing its module declares its actors; processes call the functions that they need.

    settings: the class of its settings. The functions get the platform's settings as their argument.
    blueprint: its routes. checks: its dependencies, for /readyz and `queue health`. commands: its own commands of
    `queue`. max_concurrency: how many messages of a queue may run at the same time, in all containers on one Redis.
    rates: how many of a queue may start in a time, such as 10/s, likewise.
    api: the description of its routes for /openapi.json.
    schedules: messages that are sent at certain times.
    metrics: counters and histograms of tandem.metrics, and collectors of prometheus_client, for /metrics.
    programs: of supervisor, which run beside web and workers.
    middleware: dramatiq's, for the actors of all workloads, or a function that returns it; see Placed.
    database: its migrations and tables; with it, DATABASE_URL is read, and messages and requests have a transaction.
    on_start: runs once at a container's start, in parallel with all other programs; it may take any time.
    """

    name: str
    settings: type[SettingsBase] | None = None
    blueprint: Callable[[Settings], Blueprint] | None = None
    checks: Callable[[Settings], Sequence[Check]] = _none
    max_concurrency: Callable[[Settings], Mapping[str, int]] = _unbounded
    rates: Mapping[str, str] | Callable[[Settings], Mapping[str, str]] = field(default_factory=dict)
    commands: Callable[[], Sequence[Command]] = tuple
    api: Callable[[Settings], Api] | None = None
    schedules: Sequence[Schedule] | Callable[[Settings], Sequence[Schedule]] = ()
    middleware: Sequence[Middleware | Placed] | Callable[[Settings], Sequence[Middleware | Placed]] = ()
    metrics: Sequence[Any] | Callable[[Settings], Sequence[Any]] = ()
    programs: Sequence[Program] | Callable[[Settings], Sequence[Program]] = ()
    database: Database | None = None
    on_start: Callable[[Settings], None] | None = None
