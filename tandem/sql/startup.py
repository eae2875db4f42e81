"""The database at a container's start: a new one gets its tables while the workloads are checked."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy.exc import SQLAlchemyError

from tandem.config.settings_base import SettingsError
from tandem.sql import migrations
from tandem.sql.engine import make_engine, shown
from tandem.sql.errors import brief, is_lock_timeout
from tandem.workload import Workload

logger = logging.getLogger(__name__)

# A new database has no rows, so this is for another container that makes it at the same moment (seconds).
LOCK_SECONDS = 10


def made(workloads: Iterable[Workload]) -> str | None:
    """Return what was done if the schema is up to date now, or ''; None if a start step has to bring it up to date.

    It saves the start of one more process with all imports. A database with an older schema may take long, and one that
    does not answer is reported by that step. Raises SettingsError if a migration fails: where it was not undone, the
    step would report what the first try has left behind.
    """
    found = migrations.histories(workloads)
    connections = make_engine(2)
    try:
        with connections.connect() as connection:
            if not migrations.outdated(connection, found):
                return ""
            if any(history.current(connection) for history in found):
                return None
    except SQLAlchemyError as error:
        logger.debug("the start step is left to say why: %s", brief(error))
        return None
    try:
        done = migrations.upgrade(connections, found, seconds=LOCK_SECONDS)
    except Exception as error:  # also of a migration, which is code of the application
        if isinstance(error, migrations.SchemaError) or is_lock_timeout(error):
            return None  # another container is at it, and the start step waits for longer
        line = f"making the tables in {shown(connections.url)} failed: {type(error).__name__}: {brief(error)}"
        raise SettingsError([f"{line}; correct the migration, and start with an empty database"]) from error
    finally:
        connections.dispose()
    # Nothing, if another container was quicker.
    return f"made the tables of {', '.join(done)} in {shown(connections.url)}" if done else ""
