"""The actors that count visits: one message for each report, month by month."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime

import dramatiq
from sqlalchemy import ColumnElement, distinct, exists, func, select
from sqlalchemy.orm import Session, aliased

from app.reports.models import EPOCH, Progress, Report, Visit
from app.reports.periods import MONTHS, Period, add_months, first_day, midnight
from tandem import Snooze, job
from tandem.sql import session, transaction

# The longest that counting a month may take (seconds).
MONTH_SECONDS = 60


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def _key(period: Period, start: str) -> str:
    return f"{period} {start}"


# Messages for one report that wait are one. After its start another one is sent: it may have counted already.
@dramatiq.actor(queue_name="reports", unique=_key, until="start", max_concurrency=1, concurrency_key=_key)
def recalculate(period: Period, start: str) -> None:
    """Recalculate the report of the period that begins on the day `start`."""
    first = date.fromisoformat(start)
    months, begun = _counted_months(period, first), False
    while months < MONTHS[period]:
        if job.should_yield(MONTH_SECONDS, begun=begun):
            raise Snooze(progress=months)
        # Each month is stored by itself, so that a killed worker goes on with the next one.
        with transaction() as current:
            months, begun = _count_month(current, period, first), True


@dramatiq.actor(queue_name="reports")
def recalculate_all() -> None:
    """Recalculate all reports, each with a message of its own: one that fails leaves the others alone."""
    known = [(period, start) for period, start in session().execute(select(Report.period, Report.start))]
    wanted = {*known, *((period, first_day(period, month)) for month in _months_with_visits() for period in MONTHS)}
    send(wanted)


def send(reports: set[tuple[Period, date]]) -> None:
    """Ask for the recalculation of reports, with the transaction that runs."""
    for period, start in sorted(reports):
        recalculate.send(period, start.isoformat())


def _months_with_visits() -> Iterator[date]:
    """Yield the first day of each month with a visit; each costs one look into an index."""
    since = EPOCH
    while first := session().scalar(select(func.min(Visit.at)).where(Visit.at >= since)):
        month = first_day("monthly", first.date())
        yield month
        since = midnight(add_months(month, 1))


def _within(visit: type[Visit], first: date, end: date) -> ColumnElement[bool]:
    return (visit.at >= midnight(first)) & (visit.at < midnight(end))


def _counted_months(period: Period, first: date) -> int:
    """Return how many months are counted already, without those of a count that is out of date.

    A message that waits for its next delivery counts as one that waits: no other one is sent for visits that come
    meanwhile, and they can be in a month that it has counted.
    """
    with transaction() as current:
        progress = current.get(Progress, (period, first))
        if progress is None:
            return 0
        counted = _within(Visit, first, add_months(first, progress.months))
        if current.scalar(select(func.count()).where(counted)) != progress.visits:
            current.delete(progress)
            return 0
        return progress.months


def _count_month(current: Session, period: Period, first: date) -> int:
    """Count the next month, and store the report after the last one; return how many are counted."""
    progress = current.get(Progress, (period, first))
    if progress is None:
        progress = Progress(period=period, start=first, months=0, visits=0, pages=0)
        current.add(progress)
    month = add_months(first, progress.months)
    earlier = aliased(Visit)
    known = exists().where(earlier.page == Visit.page, _within(earlier, first, month))
    of_month = _within(Visit, month, add_months(month, 1))
    progress.months += 1
    progress.visits += current.scalar(select(func.count()).where(of_month)) or 0
    progress.pages += current.scalar(select(func.count(distinct(Visit.page))).where(of_month, ~known)) or 0
    if progress.months == MONTHS[period]:
        report = Report(period=period, start=first, visits=progress.visits, pages=progress.pages, recalculated_at=now())
        current.merge(report)
        current.delete(progress)
    return progress.months
