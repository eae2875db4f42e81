"""The environment variables of tandem.sql."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import ClassVar, Literal

from pydantic import SecretStr, field_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsBase, duration, require, text

EMBEDDED = "sqlite:////data/app.db"
#: The driver of each kind of database.
DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql", "sqlite": "pysqlite"}
EXTRAS = {"psycopg": "postgres", "pymysql": "mysql"}
_EXPECTED = (
    "postgresql://USER:PASSWORD@HOST/NAME, mysql://…, mariadb://… or sqlite:////PATH, or empty for the embedded one"
)


class SqlSettings(SettingsBase):
    """Which database, and for how long it is waited for."""

    headings: ClassVar = {"database_url": "the database"}

    database_url: SecretStr | None = text(
        None,
        _EXPECTED,
        "postgresql://USER:PASSWORD@HOST[:PORT]/NAME, mysql://…, mariadb://… or sqlite:////PATH. Empty: SQLite in "
        "/data/app.db, for one container.",
    )
    database_isolation: Literal["", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] = text(
        "",
        "READ COMMITTED, REPEATABLE READ or SERIALIZABLE, or empty for the database's own",
        "Isolation of transactions. Empty: as the database does by itself. For PostgreSQL, MySQL and MariaDB.",
    )
    database_statement_timeout: int = duration(30, 1, 86_400, "Longest run of one statement.")
    database_lock_timeout: int = duration(10, 1, 3600, "Longest wait for a lock of another transaction.")
    once_retention: int = duration(
        1_209_600,
        3600,
        31_536_000,
        "How long it is remembered that a message of an actor with `once` has ended: longer than any retry.",
    )

    @field_validator("database_url")
    @classmethod
    def _known_kind(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check(value.get_secret_value())
        return value

    @property
    def url(self) -> URL:
        """The URL in use, with its driver; its password is shown nowhere."""
        given = make_url(self.database_url.get_secret_value() if self.database_url else EMBEDDED)
        return given.set(drivername=f"{given.get_backend_name()}+{_driver(given)}")

    def conflicts(self, platform: Settings) -> Iterator[str]:
        """Yield a line if the driver is missing, or if several containers would share a file."""
        driver = _driver(self.url)
        if driver in EXTRAS and find_spec(driver) is None:
            yield (
                f"DATABASE_URL={self.url.render_as_string()} is invalid: the driver {driver} is not installed; "
                f"expected the package {driver} in the image"
            )
        if self.once_retention <= platform.failed_retention:
            yield (
                f"ONCE_RETENTION={self.once_retention}s is invalid: a dead letter could be retried when its note is "
                f"forgotten; expected more than FAILED_RETENTION={platform.failed_retention}"
            )


def _driver(url: URL) -> str:
    return url.drivername.partition("+")[2] or DRIVERS[url.get_backend_name()]


def _check(value: str) -> None:
    """Raise ValueError for a URL of another kind, without a host or without the name of a database."""
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        require(value, False)
        return
    kind, _, driver = url.drivername.partition("+")
    require(value, DRIVERS.get(kind) is not None and driver in ("", DRIVERS[kind]))
    if kind == "sqlite":
        require(value, re.match(r"sqlite(\+pysqlite)?:////.+", value) is not None)
    else:
        require(value, bool(url.host) and bool(url.database))
