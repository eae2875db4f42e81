"""DATABASE_URL and what belongs to it: each mistake is one line, without the password."""

from __future__ import annotations

import pytest

from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError
from tandem.sql.engine import shown
from tandem.sql.settings import SqlSettings


@pytest.mark.parametrize(
    "url",
    [
        "oracle://u:secret@h/n",
        "postgresql+asyncpg://u:secret@h/n",
        "postgresql://h",
        "postgresql:///name",
        "sqlite:///relative.db",
        "sqlite://",
        "secret",
    ],
)
def test_a_url_that_does_not_fit_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        SqlSettings.read({"DATABASE_URL": url})
    (line,) = raised.value.lines
    assert line.startswith("DATABASE_URL=****** is invalid: expected postgresql://")
    assert "secret" not in line


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u:p@h/n", "postgresql+psycopg"),
        ("mariadb://u:p@h:3307/n", "mariadb+pymysql"),
        ("mysql://u:p@h/n", "mysql+pymysql"),
        ("sqlite:////data/x.db", "sqlite+pysqlite"),
        ("", "sqlite+pysqlite"),
    ],
)
def test_a_url_gets_its_driver_and_is_shown_without_user_and_password(url: str, driver: str) -> None:
    found = SqlSettings.read({"DATABASE_URL": url}).url
    assert found.drivername == driver
    assert "u:p" not in shown(found)
    assert "***" not in shown(found)


def test_notes_that_are_forgotten_before_a_dead_letter_are_refused() -> None:
    chosen = SqlSettings.read({"ONCE_RETENTION": "2h"})
    (line,) = chosen.conflicts(Settings())
    assert line.startswith("ONCE_RETENTION=7200s is invalid: a dead letter could be retried when its note is forgotten")
