"""The workload for the registry. Importing this module declares the actors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.reports import recalculation, visits
from app.reports.models import Base
from tandem import Database, Schedule, Settings, Workload

if TYPE_CHECKING:
    from click import Command
    from flask import Blueprint

    from tandem import openapi

__all__ = ["visits", "workload"]


def _blueprint(_platform: Settings) -> Blueprint:
    from app.reports.routes import make_blueprint

    return make_blueprint()


def _api(_platform: Settings) -> openapi.Api:
    from app.reports.api import describe

    return describe()


def _commands() -> Sequence[Command]:
    from app.reports.commands import visits

    return (visits,)


workload = Workload(
    name="reports",
    blueprint=_blueprint,
    api=_api,
    commands=_commands,
    schedules=[Schedule("20 2 * * *", recalculation.recalculate_all, overlap=False)],
    database=Database(migrations=Path(__file__).with_name("migrations"), metadata=Base.metadata),
)
