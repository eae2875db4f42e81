"""Months, quarters and years in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Literal

Period = Literal["monthly", "quarterly", "yearly"]

#: How many months each has.
MONTHS: Mapping[Period, int] = {"monthly": 1, "quarterly": 3, "yearly": 12}


def first_day(period: Period, day: date) -> date:
    """Return the first day of the period that a day is in."""
    return date(day.year, day.month - (day.month - 1) % MONTHS[period], 1)


def add_months(day: date, months: int) -> date:
    """Return the first day of the month that comes `months` after that of a day."""
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
