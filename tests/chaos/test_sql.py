"""A short chaos run with a database; for a long one see sql.py."""

from __future__ import annotations

from tests.chaos.sql import Run, containers

SEED = 3


def test_kills_around_a_database_lose_nothing_and_store_nothing_twice() -> None:
    print(f"seed {SEED}")
    with containers() as (tandem, database):
        report = Run(tandem, database, SEED).run(messages=200, kills=6, database_restarts=0)
        print(report.summary())
        assert not report.broken, f"{report.summary()}\n{tandem.logs()}"
