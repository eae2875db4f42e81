"""What tandem.sql promises, on any database. test_sql.py runs this on SQLite, and the integration tests on servers."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from bank import accounts
from dramatiq.errors import BrokerConnectionError
from flask.testing import FlaskClient
from sqlalchemy import event, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from tandem import Away, Warn
from tandem.runtime import get_broker
from tandem.sql import NoTransaction, checks, migrations, outbox, session, tables, transaction
from tandem.sql import engine as connections
from tandem.sql.engine import engine
from tandem.sql.migrations import History, SchemaError

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def no_attempts() -> None:
    accounts.attempts.clear()


def names() -> list[str]:
    with transaction() as current:
        return sorted(current.scalars(select(accounts.Account.name)))


def count(table: Any) -> int:
    with transaction() as current:
        return current.scalar(select(func.count()).select_from(table)) or 0


def test_an_actor_that_returns_commits(queue: Any) -> None:
    accounts.add.send("Ada")
    assert queue.run_all() == ["completed"]
    assert names() == ["Ada"]


def test_an_actor_that_raises_stores_nothing_and_sends_nothing(queue: Any) -> None:
    accounts.add_and_fail.send("Ada")
    assert queue.run_all() == ["failed"]
    assert names() == []
    assert (queue.sent("tell"), count(tables.outbox)) == ([], 0)


def test_messages_of_a_transaction_follow_its_commit_in_order(queue: Any) -> None:
    accounts.add_and_tell.send("Ada")
    queue.run_all()
    assert accounts.attempts == ["Ada at once", "Ada", "Ada again"]
    assert count(tables.outbox) == 0


def test_without_a_session_a_message_is_sent_at_once(queue: Any) -> None:
    accounts.send_without_session.send("Ada")
    queue.run_all()
    assert accounts.attempts == ["Ada"]


def test_unique_messages_stay_unique_in_the_outbox(queue: Any) -> None:
    accounts.send_unique.send("Ada")
    queue.run_all()
    assert accounts.attempts == ["Ada"]


def test_redis_away_at_the_commit_keeps_the_message_for_later(queue: Any, redis_away: Any) -> None:
    with redis_away(), transaction() as current:
        current.add(accounts.Account(name="Ada"))
        accounts.tell.send("Ada")
    assert (names(), queue.sent("tell"), count(tables.outbox)) == (["Ada"], [], 1)

    assert outbox.send_left_over(grace_ms=0) == 1
    assert (queue.sent("tell"), count(tables.outbox)) == ([("Ada",)], 0)


def test_a_relay_that_dies_after_sending_sends_nothing_twice(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    sending = get_broker().send_relayed

    def send_and_die(messages: Any) -> None:
        sending(messages)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(get_broker(), "send_relayed", send_and_die)
        with pytest.raises(Killed), transaction():
            session().execute(text("SELECT 1"))
            accounts.tell.send("Ada")
    # Its row is there, and so is the message, which runs before another relay comes.
    assert count(tables.outbox) == 1
    assert queue.run_all() == ["completed"]

    assert outbox.send_left_over(grace_ms=0) == 1
    assert queue.run_all() == []
    assert (accounts.attempts, count(tables.outbox)) == (["Ada"], 0)


def test_a_message_in_the_outbox_is_sent_later_when_it_is_delayed(queue: Any) -> None:
    with transaction() as current:
        current.execute(text("SELECT 1"))
        accounts.tell.send_with_options(args=("Ada",), delay=60_000)
    client: Any = get_broker().client
    ((_, due),) = client.zrange("dramatiq:told.delayed", 0, -1, withscores=True)
    assert 50_000 < due - get_broker().store.clock.now() <= 60_000


def test_transactions_of_two_tasks_on_one_thread_do_not_mix(queue: Any) -> None:
    async def both() -> None:
        begun, sent = asyncio.Event(), asyncio.Event()

        async def send() -> None:
            with transaction():
                await begun.wait()
                accounts.tell.send("Ada")
                sent.set()

        async def fail() -> None:
            with pytest.raises(RuntimeError), transaction():
                begun.set()
                await sent.wait()
                raise RuntimeError

        await asyncio.gather(send(), fail())

    asyncio.run(both())
    assert queue.sent("tell") == [("Ada",)]


def test_many_messages_of_a_transaction_are_kept_together(queue: Any) -> None:
    with pytest.raises(RuntimeError), transaction() as current:
        current.execute(text("SELECT 1"))
        accounts.tell.send_many([(str(number),) for number in range(3)])
        raise RuntimeError
    assert queue.sent("tell") == []
    with transaction() as current:
        current.execute(text("SELECT 1"))
        accounts.tell.send_many([(str(number),) for number in range(3)])
    assert queue.sent("tell") == [("0",), ("1",), ("2",)]


def test_a_message_that_is_delivered_again_does_nothing(queue: Any) -> None:
    accounts.add.send("Ada")
    queue.run_all()
    message = accounts.book.message("Ada", "rent")
    for _ in range(3):
        get_broker().enqueue(message)
        assert queue.run_all() == ["completed"]
    assert (accounts.attempts, count(accounts.Booking)) == (["rent"], 1)


def test_a_failed_attempt_of_a_once_actor_does_not_count(queue: Any) -> None:
    accounts.add.send("Ada")
    accounts.book.send("Ada", "rent", 1)
    assert sorted(queue.run_all()) == ["completed", "completed", "retried"]
    assert (len(accounts.attempts), count(accounts.Booking)) == (2, 1)


def test_two_deliveries_at_the_same_time_have_one_effect(queue: Any) -> None:
    accounts.add.send("Ada")
    queue.run_all()
    message = accounts.book.message("Ada", "rent")
    unit: Any = get_broker().unit_of_work
    threads = [threading.Thread(target=unit.run, args=(accounts.book, message)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert count(accounts.Booking) == 1


def test_a_snoozed_message_keeps_its_part_and_continues(queue: Any) -> None:
    accounts.book_in_parts.send(3)
    assert queue.run_all() == ["snoozed", "snoozed", "completed"]
    assert names() == ["part 0", "part 1", "part 2"]


def test_a_transaction_that_met_another_one_runs_again_at_once(queue: Any) -> None:
    accounts.meet.send(3)
    assert queue.run_all() == ["completed"]
    assert (len(accounts.attempts), names()) == (4, ["attempt 3"])


def test_one_that_meets_others_again_and_again_fails(queue: Any) -> None:
    accounts.meet.send(9)
    assert queue.run_all() == ["failed"]
    assert (len(accounts.attempts), names()) == (4, [])
    assert queue.failed()[0].startswith("OperationalError: ")


def test_an_interrupted_message_stores_nothing_and_the_next_ones_are_well(queue: Any) -> None:
    accounts.dawdle.send("slow")
    assert queue.run_all() == ["failed"]
    for number in range(100):
        accounts.add.send(f"account {number}")
    assert queue.run_all() == ["completed"] * 100
    assert len(names()) == 100


@pytest.mark.parametrize("spoil", ["unique", "too long", "foreign key", "statement"])
def test_a_message_that_breaks_its_session_spoils_no_other(queue: Any, spoil: str) -> None:
    accounts.add.send("Ada")
    queue.run_all()
    too_long = engine().dialect.name != "sqlite"  # SQLite has no lengths
    {
        "unique": lambda: accounts.add.send("Ada"),
        "too long": lambda: accounts.add.send("x" * 21) if too_long else accounts.orphan.send(),
        "foreign key": accounts.orphan.send,
        "statement": accounts.broken_statement.send,
    }[spoil]()
    assert queue.run_all() == ["failed"]
    (line,) = queue.failed()
    assert "\n" not in line
    assert "INSERT" not in line
    for number in range(100):
        accounts.add.send(f"account {number}")
    assert queue.run_all() == ["completed"] * 100
    assert len(names()) == 101


def test_a_session_outside_of_a_message_is_refused_with_what_to_write(queue: Any) -> None:
    with pytest.raises(NoTransaction, match=r"with transaction\(\) as session:"):
        session()


def test_a_request_commits_when_its_view_returns_and_its_message_follows(client: FlaskClient, queue: Any) -> None:
    assert client.post("/accounts/Ada").status_code == 201
    assert queue.sent("tell") == [("Ada",)]
    assert client.get("/accounts").get_json() == {"names": ["Ada"]}


@pytest.mark.parametrize("query", ["?abort=1", "?break=1"])
def test_a_request_that_fails_stores_nothing_and_sends_nothing(client: FlaskClient, queue: Any, query: str) -> None:
    assert client.post(f"/accounts/Ada{query}").status_code in (422, 500)
    assert (queue.sent("tell"), names(), count(tables.outbox)) == ([], [], 0)


def test_a_request_that_conflicts_is_told_so_and_the_next_one_is_well(client: FlaskClient, queue: Any) -> None:
    assert client.post("/accounts/Ada").status_code == 201
    answer = client.post("/accounts/Ada")
    assert (answer.status_code, answer.mimetype) == (409, "application/problem+json")
    assert client.post("/accounts/Bob").status_code == 201


def test_nothing_is_lost_when_redis_is_away_for_a_request(client: FlaskClient, queue: Any, redis_away: Any) -> None:
    with redis_away():
        answer = client.post("/accounts/Ada")
    assert answer.status_code in (201, 503)
    expected = 1 if answer.status_code == 201 else 0
    assert (count(accounts.Account), count(tables.outbox)) == (expected, expected)


def set_version(version: str) -> None:
    with engine().begin() as connection:
        connection.execute(text("UPDATE alembic_version_accounts SET version_num = :version"), {"version": version})


def test_an_image_goes_on_after_a_later_one_has_migrated_the_database(queue: Any) -> None:
    histories = migrations.histories([accounts.workload])
    check, _ = checks.make(histories)
    set_version("9999")
    try:
        assert migrations.upgrade(engine(), histories, seconds=5) == []
        with pytest.raises(Warn, match=r"the tables of accounts in .* are of a later version than this image"):
            check.run()
        accounts.add.send("Ada")
        assert queue.run_all() == ["completed"]
    finally:
        set_version("0001")
    assert check.run().endswith("schema up to date")


def test_a_schema_that_lacks_migrations_is_named_with_what_to_type(queue: Any) -> None:
    check, _ = checks.make(migrations.histories([accounts.workload]))
    with engine().begin() as connection:
        connection.execute(text("DELETE FROM alembic_version_accounts"))
    try:
        with pytest.raises(Away, match=r"the tables of accounts in .* lack migrations: type queue db upgrade"):
            check.run()
    finally:
        with engine().begin() as connection:
            connection.execute(text("INSERT INTO alembic_version_accounts VALUES ('0001')"))


MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

def upgrade():
    op.create_table("half", sa.Column("id", sa.Integer, primary_key=True), if_not_exists=True)
    op.execute("{then}")
"""


def test_a_migration_that_fails_half_way_is_not_taken_for_done(queue: Any, tmp_path: Path) -> None:
    file, history = tmp_path / "0001_half.py", History("half", tmp_path)
    file.write_text(MIGRATION.format(then="INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(SQLAlchemyError, match="nowhere"):
        migrations.upgrade(engine(), [history], seconds=5)
    # MySQL and MariaDB commit each change of a table by itself.
    stays = engine().dialect.name in ("mysql", "mariadb")
    assert inspect(engine()).has_table("half") is stays
    file.write_text(MIGRATION.format(then="INSERT INTO half VALUES (1)"))
    try:
        assert migrations.upgrade(engine(), [history], seconds=5) == ["half"]
    finally:
        with engine().begin() as connection:
            connection.execute(text("DROP TABLE half"))
            connection.execute(text("DROP TABLE alembic_version_half"))


def test_one_that_another_container_runs_for_too_long_ends_the_start(queue: Any) -> None:
    found = migrations.histories([accounts.workload])
    with migrations._lock(engine(), 5), pytest.raises((SchemaError, SQLAlchemyError)):
        migrations.upgrade(engine(), found, seconds=1)
    assert migrations.upgrade(engine(), found, seconds=1) == []


def test_a_database_that_is_full_stores_nothing_half_and_goes_on_when_there_is_room(queue: Any) -> None:
    if engine().dialect.name != "sqlite":
        pytest.skip("servers cannot be filled up by one client")

    @event.listens_for(engine(), "connect")
    def limit(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # as many as there are

    engine().dispose()
    accounts.add_many.send(10_000)
    try:
        assert queue.run_all() == ["failed"]
        assert queue.failed()[0].startswith("OperationalError: database or disk is full")
        assert (names(), count(tables.outbox)) == ([], 0)
    finally:
        event.remove(engine(), "connect", limit)
        engine().dispose()
    accounts.add_many.send(100)
    assert queue.run_all() == ["completed"]
    assert len(names()) == 100


def test_notes_and_connections_are_bounded(queue: Any) -> None:
    from tandem.sql import handled

    accounts.add.send("Ada")
    for number in range(5):
        accounts.book.send("Ada", str(number))
    queue.run_all()
    with engine().begin() as connection:
        assert handled.expire(connection, 2**62) == 5
    assert count(tables.handled) == 0
    assert engine().pool.checkedout() == 0  # type: ignore[attr-defined]


def test_redis_errors_are_not_database_errors(queue: Any, redis_away: Any) -> None:
    with redis_away(), pytest.raises((redis.RedisError, BrokerConnectionError)):
        accounts.tell.send("Ada")


def test_a_connection_that_has_died_while_it_was_idle_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    engine().dispose()
    used, dialect = [], engine().dialect

    def die(connection: Any) -> bool:
        used.append(connection)
        raise dialect.loaded_dbapi.OperationalError("the server has closed the connection")

    monkeypatch.setattr(dialect, "do_ping", die)
    for after in (60.0, 0.0):
        monkeypatch.setattr(connections, "PING_AFTER_SECONDS", after)
        with transaction() as current:
            used.append(current.connection().connection.dbapi_connection)
    first, asked, second = used
    assert first is asked is not second


def test_messages_of_busy_threads_are_sent_together(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    relay, batches = outbox.Relay(), []
    monkeypatch.setattr(relay, "_send", batches.append)
    monkeypatch.setattr(outbox, "PACE_SECONDS", 0.2)
    for name in ("first", "second", "third"):
        relay.sent_with_commit([name])
        time.sleep(0.05)
    relay.stop()
    assert batches == [["first"], ["second", "third"]]
