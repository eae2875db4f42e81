"""Visits: how they are validated and stored, and the actor that stores one that comes from elsewhere."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import dramatiq
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
)
from sqlalchemy.orm import Session

from app.reports import recalculation
from app.reports.models import EPOCH, MAX_NOTE, MAX_PAGE, Visit
from app.reports.periods import MONTHS, first_day
from tandem import PermanentError
from tandem.sql import session

logger = logging.getLogger(__name__)

# Clocks differ.
MAX_AHEAD = timedelta(minutes=1)
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].+", re.ASCII)


def _require_visible(value: str) -> str:
    if not value.isprintable():
        raise ValueError("expected one line without control characters")
    return value


def _without_nul(value: str) -> str:
    # PostgreSQL stores none.
    if "\0" in value:
        raise ValueError("expected a text without the character NUL")
    return value


def _require_iso(value: object) -> object:
    # pydantic would take numbers for seconds since 1970.
    if not (value is None or isinstance(value, datetime) or (isinstance(value, str) and _ISO.fullmatch(value))):
        raise ValueError("expected a time such as 2026-03-31T18:30:00+02:00")
    return value


def _require_possible(value: datetime) -> datetime:
    if not EPOCH <= value <= recalculation.now() + MAX_AHEAD:
        raise ValueError("expected a time from 1970 until now")
    return value.astimezone(UTC)


class NewVisit(BaseModel):
    """A visit of `page`. `at`: now, if it is omitted; a time has an offset."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    page: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PAGE),
        AfterValidator(_require_visible),
    ]
    at: Annotated[AwareDatetime, BeforeValidator(_require_iso), AfterValidator(_require_possible)] | None = None
    note: Annotated[str, StringConstraints(max_length=MAX_NOTE), AfterValidator(_without_nul)] | None = None


class InvalidVisit(PermanentError):
    """A visit from elsewhere cannot be stored; the text is one line."""


def read(fields: Mapping[str, Any]) -> NewVisit:
    """Return a visit from elsewhere. Its note is cut, because nobody is there to shorten it. Raises InvalidVisit."""
    note = fields.get("note")
    if isinstance(note, str) and len(note) > MAX_NOTE:
        logger.warning("a note of %d characters was cut to %d", len(note), MAX_NOTE)
        fields = {**fields, "note": note[:MAX_NOTE]}
    try:
        return NewVisit.model_validate(fields)
    except ValidationError as error:
        lines = [f"{one['loc'][0]}: {one['msg']}" for one in error.errors(include_url=False, include_input=False)]
        raise InvalidVisit("; ".join(lines)) from error


def add(current: Session, new: Iterable[NewVisit]) -> list[Visit]:
    """Store visits, and ask for the recalculation of their reports in the same transaction."""
    visits = [Visit(page=one.page, at=one.at or recalculation.now(), note=one.note) for one in new]
    current.add_all(visits)
    current.flush()
    recalculation.send({(period, first_day(period, visit.at.date())) for visit in visits for period in MONTHS})
    return visits


# A message that is delivered again, because its worker was killed after the commit, stores no second visit.
@dramatiq.actor(queue_name="reports", once=True)
def record(page: str, at: str | None = None, note: str | None = None) -> None:
    """Store a visit that another actor or system has seen."""
    add(session(), [read({"page": page, "at": at, "note": note})])
