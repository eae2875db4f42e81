"""The tables of the platform in an application's database; history/ has their migrations."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table
from sqlalchemy.dialects import mysql

metadata = MetaData()

#: MySQL's BLOB ends at 64 KiB, and SQLite counts up INTEGER keys only.
PAYLOAD = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
NUMBER = BigInteger().with_variant(Integer(), "sqlite")

#: Messages that were sent in a transaction, from its commit until they are in Redis. created_at, due: ms since 1970.
outbox = Table(
    "tandem_outbox",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False),
    Column("queue", String(255), nullable=False),
    Column("message_id", String(255), nullable=False),
    Column("payload", PAYLOAD, nullable=False),
    Column("due", BigInteger),
    Column("until", String(8), nullable=False),
    Column("on_duplicate", String(8), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Rows are deleted by their keys, also while Redis is away and there are many.
    Index("tandem_outbox_key", "key", unique=True),
)

#: Messages of actors with `once` that have ended: written in the transaction of their effects.
handled = Table(
    "tandem_handled",
    metadata,
    Column("message_id", String(255), primary_key=True),
    Column("handled_at", BigInteger, nullable=False),
    Index("tandem_handled_at", "handled_at"),
)
