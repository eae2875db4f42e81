"""tandem.sql on real servers, and what operators see of a database: away, read-only, older, cut off, or badly named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from testcontainers.core.network import Network

from tests.integration.containers import Start, running_until_left
from tests.integration.databases import SQLAPP_IMAGE, Server, server
from tests.integration.tandem import Tandem, await_true
from tests.unit.sql.run import run

CUT_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tandem'"


@pytest.fixture(scope="module")
def postgres(network: Network) -> Iterator[Server]:
    with server("postgres", network, restart_policy={"Name": "always"}) as one:
        yield one


@pytest.fixture(scope="module")
def ledger(network: Network, postgres: Server) -> Iterator[Tandem]:
    """One container for tests that leave it as they found it."""
    yield from running_until_left(Tandem(network, {"DATABASE_URL": postgres.url}, image=SQLAPP_IMAGE))


def receipts(tandem: Tandem, number: int) -> int:
    answer = tandem.request("GET", f"/entries/{number}")
    return int(answer.json()["receipts"]) if answer.status_code == 200 else 0


def hand_in(tandem: Tandem, number: int) -> None:
    answer = tandem.request("PUT", f"/entries/{number}")
    assert answer.status_code == 201, answer.text
    await_true(lambda: receipts(tandem, number) == 1, seconds=30, what="the receipt")


def test_every_promise_holds_on_postgresql(postgres: Server, tmp_path: Path) -> None:
    ended = run(tmp_path, DATABASE_URL=postgres.published)
    assert ended.returncode == 0, ended.stdout


def test_every_promise_holds_on_mariadb(network: Network, tmp_path: Path) -> None:
    with server("mariadb", network) as mariadb:
        ended = run(tmp_path, DATABASE_URL=mariadb.published)
    assert ended.returncode == 0, ended.stdout


def test_the_embedded_database_is_migrated_and_kept(start: Start) -> None:
    tandem = start(image=SQLAPP_IMAGE).await_healthy()
    assert "database   | made the tables of tandem, ledger in sqlite:////data/app.db" in tandem.logs()
    hand_in(tandem, 1)
    assert "ok database sqlite:////data/app.db, schema up to date" in tandem.health()

    tandem.docker.restart(timeout=30)
    tandem.await_healthy()
    assert receipts(tandem, 1) == 1
    assert "ledger               0001                 up to date" in tandem.output("queue", "db", "current")


def test_messages_follow_their_commit_at_once_and_not_by_the_program_for_left_overs(
    ledger: Tandem, postgres: Server
) -> None:
    tandem = ledger
    for number in range(100, 110):
        hand_in(tandem, number)
    assert tandem.request("PUT", "/refused/999").status_code == 422
    assert "stay in the outbox" not in tandem.logs()
    assert "had left in the outbox" not in tandem.logs()
    assert postgres.numbers("SELECT count(*) FROM entries WHERE number = 999") == [(0,)]
    assert "tandem:tandem" not in tandem.logs()
    assert "tandem:tandem" not in tandem.output("queue", "config")


def test_connections_that_the_database_closes_fail_no_message_for_good(ledger: Tandem, postgres: Server) -> None:
    postgres.ask("ALTER ROLE tandem SET idle_session_timeout = '300ms'")
    # It counts for new connections.
    postgres.ask(CUT_OFF)
    try:
        tandem = ledger
        for number in range(200, 204):
            hand_in(tandem, number)
            # Longer than a connection may idle: each of the next round was closed.
            await_true(
                lambda: postgres.numbers("SELECT count(*) FROM pg_stat_activity WHERE usename = 'tandem'")[0][0] <= 2,
                seconds=10,
                what="the database closes idle connections",
            )
        # In the middle of its work.
        postgres.ask(CUT_OFF)
        hand_in(tandem, 204)
        assert tandem.output("queue", "failed", "show", "--json").strip() == "[]"
    finally:
        postgres.ask("ALTER ROLE tandem RESET idle_session_timeout")


def test_a_database_that_goes_away_is_named_and_comes_back(ledger: Tandem, postgres: Server) -> None:
    tandem = ledger
    postgres.docker.pause()
    try:
        await_true(lambda: tandem.request("GET", "/readyz").status_code == 503, seconds=30, what="it is not ready")
        assert "away database" in tandem.health()
        assert tandem.docker.attrs["State"]["Health"]["Status"] == "healthy"
    finally:
        postgres.docker.unpause()
    await_true(lambda: tandem.request("GET", "/readyz").status_code == 200, seconds=30, what="it is ready again")
    hand_in(tandem, 300)


def test_a_read_only_database_is_named(ledger: Tandem, postgres: Server) -> None:
    tandem = ledger
    postgres.ask("ALTER ROLE tandem SET default_transaction_read_only = on")
    try:
        tandem.output("supervisorctl", "restart", "web")
        await_true(
            lambda: "is read-only: point DATABASE_URL to the primary" in tandem.health(), seconds=30, what="the reason"
        )
    finally:
        postgres.ask("ALTER ROLE tandem RESET default_transaction_read_only")
        postgres.ask(CUT_OFF)


def test_a_database_that_cannot_be_used_ends_the_start_with_one_line(start: Start, postgres: Server) -> None:
    tandem = start(image=SQLAPP_IMAGE, DATABASE_URL=postgres.url.replace(":tandem@", ":wrong@"))
    assert tandem.docker.wait(timeout=60)["StatusCode"] == 78, tandem.logs()
    lines = tandem.docker.logs().decode().splitlines()
    assert lines[-1].startswith("the start step database failed with code 1: Error: postgresql://postgres/tandem: "), (
        lines
    )
    assert not [text for text in lines if "wrong" in text or "Traceback" in text]
