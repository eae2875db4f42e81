"""The migrations make the tables that the models describe."""

from __future__ import annotations

import pytest
from alembic import command

from app.reports.workload import workload
from tandem.sql import migrations
from tandem.sql.engine import engine


@pytest.mark.usefixtures("database")
def test_the_migrations_make_the_tables_of_the_models_and_remove_them() -> None:
    (_, history) = migrations.histories([workload])
    with engine().connect() as connection:
        command.check(history.config(connection))
        connection.rollback()
        command.downgrade(history.config(connection), "base")
        command.upgrade(history.config(connection), "head")
        command.check(history.config(connection))
