"""The schema of the database: the platform's own history, then those of the workloads, each with its own version.

Alembic runs the migrations (https://alembic.sqlalchemy.org); every history shares one environment. It is imported where
it is used, because workers do not need it: it takes 6 MB of memory and a sixth of a second.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sqlalchemy import Connection, MetaData, text
from sqlalchemy.engine import Engine

from tandem.sql import tables
from tandem.workload import Workload

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

_HERE = Path(__file__).parent
#: Of advisory locks: a number of nobody else's.
LOCK = 7_263_361_010
# How often a lock of a file, which nobody notifies about, is tried (seconds).
LOCK_POLL_SECONDS = 0.1
_TOO_LONG = "another container has changed the schema for {:g} s (START_STEP_TIMEOUT)"


class SchemaError(Exception):
    """The schema cannot be brought up to date; the text is one line."""


@dataclass(frozen=True)
class History:
    """The migrations of one owner in a folder, and the table that has its version."""

    owner: str
    folder: Path
    metadata: MetaData | None = None

    @property
    def version_table(self) -> str:
        """The name of the table with its version."""
        return f"alembic_version_{self.owner.replace('-', '_')}"

    def script(self) -> ScriptDirectory:
        """Return the migrations as Alembic reads them."""
        from alembic.script import ScriptDirectory

        return ScriptDirectory.from_config(self.config(None))

    def config(self, connection: Connection | None) -> Config:
        """Return the configuration with which commands of Alembic work on this history."""
        from alembic.config import Config

        made = Config()
        made.set_main_option("script_location", str(_HERE / "environment"))
        made.set_main_option("version_locations", str(self.folder).replace("%", "%%"))
        made.set_main_option("path_separator", "newline")
        made.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        made.attributes.update(connection=connection, metadata=self.metadata, version_table=self.version_table)
        return made

    def current(self, connection: Connection) -> set[str]:
        """Return the versions that the database has."""
        from alembic.migration import MigrationContext

        context = MigrationContext.configure(connection, opts={"version_table": self.version_table})
        return set(context.get_current_heads())

    def is_ahead(self, connection: Connection) -> bool:
        """Return whether the database has a version that is unknown here: of a later image, as during a deployment."""
        return not self.current(connection) <= {script.revision for script in self.script().walk_revisions()}

    def needs_upgrade(self, connection: Connection) -> bool:
        """Return whether migrations are missing in the database."""
        return self.current(connection) != self.heads() and not self.is_ahead(connection)

    def heads(self) -> set[str]:
        """Return the newest versions."""
        return set(self.script().get_heads())


OWN = History("tandem", _HERE / "history", tables.metadata)


def histories(workloads: Iterable[Workload]) -> list[History]:
    """Return the platform's history, and those of the workloads that have migrations."""
    found = [OWN]
    for workload in workloads:
        database = workload.database
        if database and database.migrations:
            found.append(History(workload.name, database.migrations, database.metadata))
    return found


def outdated(connection: Connection, found: Iterable[History]) -> list[str]:
    """Return the owners whose tables lack migrations."""
    return [history.owner for history in found if history.needs_upgrade(connection)]


def ahead(connection: Connection, found: Iterable[History]) -> list[str]:
    """Return the owners whose tables are of a later version than this one."""
    return [history.owner for history in found if history.is_ahead(connection)]


def upgrade(engine: Engine, found: Iterable[History], *, seconds: float) -> list[str]:
    """Bring all histories up to date, one container at a time; return the owners for which something was done.

    seconds: how long another container is waited for. Raises SchemaError and SQLAlchemy's errors; migrations that ended
    before stay.
    """
    from alembic import command

    done = []
    with _lock(engine, seconds), engine.connect() as connection:
        for history in found:
            if history.needs_upgrade(connection):
                connection.rollback()
                command.upgrade(history.config(connection), "heads")
                connection.commit()
                done.append(history.owner)
    return done


def delete_rows(engine: Engine, found: Iterable[History]) -> None:
    """Delete all rows of tables that are known by their metadata: for tests."""
    with engine.begin() as connection:
        for history in found:
            for table in reversed(history.metadata.sorted_tables if history.metadata else ()):
                connection.execute(table.delete())


@contextmanager
def _lock(engine: Engine, seconds: float) -> Iterator[None]:
    """Hold a lock of the database in the block, which it gives back by itself when this process dies."""
    kind = engine.dialect.name
    if kind == "sqlite":
        with _file_lock(f"{engine.url.database}.migrating", seconds):
            yield
        return
    with engine.connect() as connection:
        if kind == "postgresql":
            connection.execute(text(f"SET lock_timeout = {round(seconds * 1000)}"))
            connection.execute(text(f"SET statement_timeout = {round(seconds * 1000)}"))
            connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": LOCK})
            connection.commit()
        elif not connection.scalar(text("SELECT GET_LOCK('tandem', :seconds)"), {"seconds": round(seconds)}):
            raise SchemaError(_TOO_LONG.format(seconds))
        try:
            yield
        finally:
            # A session's lock: closing the connection for good gives it back.
            connection.invalidate()


@contextmanager
def _file_lock(path: str, seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    with Path(path).open("w") as file:
        while not _is_locked(file):
            if time.monotonic() > deadline:
                raise SchemaError(_TOO_LONG.format(seconds))
            time.sleep(LOCK_POLL_SECONDS)
        yield


def _is_locked(file: IO[str]) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
