"""The platform's own workload that comes with the first one that has a database: settings, checks, commands, outbox."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from tandem.broker.broker import Broker
from tandem.config.settings import Settings
from tandem.process.programs import Program
from tandem.sql import checks, commands, migrations
from tandem.sql.metrics import OutboxCollector
from tandem.sql.settings import SqlSettings
from tandem.sql.unit_of_work import SqlMiddleware, Units
from tandem.workload import Workload

if find_spec("alembic") is None:
    # It is imported later, and not by all processes; its lack is reported now.
    raise ModuleNotFoundError("No module named 'alembic'", name="alembic")

NAME = "sql"
#: The program that sends what dead processes have left: where there are processes that could leave something.
OUTBOX = Program("outbox", "queue db outbox", stop_seconds=5)


def make(broker: Broker, workloads: Sequence[Workload]) -> Workload:
    """Return the workload, after the broker was told to run actors in transactions."""
    if not isinstance(broker.unit_of_work, Units):
        broker.unit_of_work = Units(broker)
    found = migrations.histories(workloads)

    def programs(config: Settings) -> list[Program]:
        needed = {"web", "worker"} & set(config.started_programs)
        return [OUTBOX] if needed else []

    return Workload(
        name=NAME,
        settings=SqlSettings,
        checks=lambda _config: checks.make(found),
        commands=lambda: [commands.make(found)],
        programs=programs,
        metrics=[OutboxCollector()],
        middleware=[SqlMiddleware()],
    )
