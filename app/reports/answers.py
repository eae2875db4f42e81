"""The JSON of visits and reports, and what GET /reports may be asked."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    ValidationInfo,
    field_validator,
)

from app.reports.periods import Period, first_day

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _require_date(value: object) -> object:
    # pydantic would take numbers for days or seconds since 1970.
    if not (isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)):
        raise ValueError("expected a day such as 2026-01-01")
    return value


Time = Annotated[datetime, PlainSerializer(_iso)]
Day = Annotated[date, BeforeValidator(_require_date)]


class VisitAnswer(BaseModel):
    """A visit; `at` is in UTC."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    page: str
    at: Time
    note: str | None


class ReportAnswer(BaseModel):
    """Visits of a period that begins on the day `start`, and how many different pages they were of."""

    model_config = ConfigDict(from_attributes=True)

    period: Period
    start: date
    visits: int = Field(ge=0)
    pages: int = Field(ge=0)
    recalculated_at: Time


class Reports(RootModel[list[ReportAnswer]]):
    """Reports, newest first."""


class ReportQuery(BaseModel):
    """Which reports: that of `start`, or the newest ones before the day `before`."""

    model_config = ConfigDict(extra="forbid")

    period: Period
    start: Day | None = None
    before: Day | None = None
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)

    @field_validator("start")
    @classmethod
    def _is_first_day(cls, value: date | None, info: ValidationInfo) -> date | None:
        period = info.data.get("period")
        if value and period and value != (first := first_day(period, value)):
            raise ValueError(f"expected the first day of a {period} report, such as {first}")
        return value
