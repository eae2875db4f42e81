"""A new database gets its tables at the start; a migration that fails there is one line about itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem.config import settings
from tandem.config.settings_base import SettingsError
from tandem.sql import migrations, startup
from tandem.workload import Database, Workload

HEAD = 'revision = "0001"\ndown_revision = None\nbranch_labels = None\ndepends_on = None\nfrom alembic import op\n'


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workload]:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/shop.db")
    settings.reset()
    (tmp_path / "migrations").mkdir()
    yield Workload(name="shop", database=Database(migrations=tmp_path / "migrations"))
    settings.reset()


def migrate(tmp_path: Path, statements: str) -> None:
    (tmp_path / "migrations" / "0001_shop.py").write_text(f"{HEAD}def upgrade():\n{statements}")


def test_a_new_database_gets_its_tables_once(tmp_path: Path, shop: Workload) -> None:
    migrate(tmp_path, "    op.execute('CREATE TABLE stock (id INTEGER)')\n")
    assert startup.made([shop]) == f"made the tables of tandem, shop in sqlite:///{tmp_path}/shop.db"
    assert startup.made([shop]) == ""


def test_a_migration_that_fails_is_named_by_its_own_error(tmp_path: Path, shop: Workload) -> None:
    migrate(tmp_path, "    op.execute('CREATE TABLE stock (id INTEGER)')\n    op.execute('SELECT 1 FROM nowhere')\n")
    with pytest.raises(SettingsError) as raised:
        startup.made([shop])
    (line,) = raised.value.lines
    assert line.startswith(
        f"making the tables in sqlite:///{tmp_path}/shop.db failed: OperationalError: no such table: nowhere"
    )


def test_a_database_that_another_container_makes_is_left_to_the_start_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Workload
) -> None:
    def wait_in_vain(*_: object, **__: object) -> list[str]:
        raise migrations.SchemaError("another container has changed the schema for 10 s")

    migrate(tmp_path, "    pass\n")
    monkeypatch.setattr(migrations, "upgrade", wait_in_vain)
    assert startup.made([shop]) is None


def test_a_database_that_does_not_answer_is_left_to_the_start_step(
    monkeypatch: pytest.MonkeyPatch, shop: Workload
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:////nowhere/at/all.db")
    settings.reset()
    assert startup.made([shop]) is None
