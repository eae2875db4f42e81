"""tandem.sql keeps its promises on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sql.run import run


@pytest.mark.slow
def test_every_promise_holds_on_sqlite(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_messages_are_handled_where_there_are_no_workers(tmp_path: Path) -> None:
    ended = run(tmp_path, "sync_tests.py", QUEUE_TRANSPORT="sync")
    assert ended.returncode == 0, ended.stdout
