"""The database at a container's start: a new one gets its tables while the workloads are checked."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from tandem.sql import migrations
from tandem.sql.engine import make_engine, shown
from tandem.workload import Workload

logger = logging.getLogger(__name__)

# A new database has no rows, so this is for another container that makes it at the same moment (seconds).
LOCK_SECONDS = 10


def made(workloads: Iterable[Workload]) -> str | None:
    """Return what was done if the schema is up to date now, or ''; None if a start step has to bring it up to date.

    It saves the start of one more process with all imports. A database with an older schema may take long, and one that
    fails is reported by that step.
    """
    found = migrations.histories(workloads)
    connections = make_engine(2)
    try:
        with connections.connect() as connection:
            if not migrations.outdated(connection, found):
                return ""
            if any(history.current(connection) for history in found):
                return None
        done = migrations.upgrade(connections, found, seconds=LOCK_SECONDS)
    except Exception as error:
        logger.debug("the start step is left to say why: %s", error)
        return None
    finally:
        connections.dispose()
    return f"made the tables of {', '.join(done)} in {shown(connections.url)}"
