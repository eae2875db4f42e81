"""The tables; migrations/ makes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Index, Integer, String, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.reports.periods import Period

MAX_PAGE = 200
MAX_NOTE = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Moment(TypeDecorator[datetime]):
    """A time in UTC as milliseconds since 1970, which every database stores and compares in the same way."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return the number that is stored."""
        return None if value is None else (value - EPOCH) // _MILLISECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the time of a stored number."""
        return None if value is None else EPOCH + value * _MILLISECOND


class Base(DeclarativeBase):
    """The tables of this workload."""


class Visit(Base):
    """One visit of a page. Visits are added, and never changed."""

    __tablename__ = "visits"
    __table_args__ = (Index("visits_at_page", "at", "page"), Index("visits_page_at", "page", "at"))

    # SQLite counts up INTEGER keys only.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    # MariaDB and MySQL would take /A and /a for the same page.
    page: Mapped[str] = mapped_column(
        String(MAX_PAGE).with_variant(mysql.VARCHAR(MAX_PAGE, collation="utf8mb4_bin"), "mysql", "mariadb")
    )
    at: Mapped[datetime] = mapped_column(Moment)
    note: Mapped[str | None] = mapped_column(String(MAX_NOTE))


class Report(Base):
    """Visits, and pages that differ, of a period that begins on the day `start`."""

    __tablename__ = "reports"

    period: Mapped[Period] = mapped_column(String(9), primary_key=True)
    start: Mapped[date] = mapped_column(primary_key=True)
    visits: Mapped[int] = mapped_column(BigInteger)
    pages: Mapped[int] = mapped_column(BigInteger)
    recalculated_at: Mapped[datetime] = mapped_column(Moment)


class Progress(Base):
    """How far the recalculation of a report is: what the first `months` months of the period have."""

    __tablename__ = "report_progress"

    period: Mapped[Period] = mapped_column(String(9), primary_key=True)
    start: Mapped[date] = mapped_column(primary_key=True)
    months: Mapped[int] = mapped_column(default=0)
    visits: Mapped[int] = mapped_column(BigInteger, default=0)
    pages: Mapped[int] = mapped_column(BigInteger, default=0)
