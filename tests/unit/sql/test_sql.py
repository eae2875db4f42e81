"""tandem.sql keeps its promises on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sql.run import python, run


@pytest.mark.slow
def test_every_promise_holds_on_sqlite(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_messages_are_handled_where_there_are_no_workers(tmp_path: Path) -> None:
    ended = run(tmp_path, "sync_tests.py", QUEUE_TRANSPORT="sync")
    assert ended.returncode == 0, ended.stdout


LOAD = "import sys; from tandem import Settings, registry; registry.load(Settings.current()); "


def test_a_process_without_migrations_does_not_import_alembic(tmp_path: Path) -> None:
    ended = python(tmp_path, "-c", f"{LOAD} assert 'sqlalchemy' in sys.modules and 'alembic' not in sys.modules")
    assert ended.returncode == 0, ended.stderr


def test_a_package_that_is_imported_later_is_missed_at_once(tmp_path: Path) -> None:
    ended = python(tmp_path, "-c", f"import sys; sys.modules['alembic'] = None; {LOAD}")
    assert "accounts has a database, but the package alembic is not installed" in ended.stderr
