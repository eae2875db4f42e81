"""When a schedule is due: across time zones, summer time, and times when nobody looked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest

from tandem.schedules import ticks
from tandem.schedules.schedule import Definition

MESSAGE = {"queue_name": "default", "actor_name": "work", "args": [], "kwargs": {}, "options": {}}


def definition(cron: str = "", **more: object) -> Definition:
    return Definition("name", MESSAGE, cron, **more)  # type: ignore[arg-type]


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def local(tick: int, zone: str) -> str:
    return datetime.fromtimestamp(tick, ZoneInfo(zone)).isoformat(timespec="minutes")


def between(schedule: Definition, first: float, last: float) -> list[int]:
    return list(takewhile(lambda tick: tick <= last, ticks.after(schedule, first)))


@pytest.mark.parametrize(
    ("cron", "zone", "day", "expected"),
    [
        # Clocks go forward: 02:30 does not exist, and comes right after the gap.
        ("30 2 * * *", "Europe/Berlin", "2027-03-28", ["2027-03-28T03:00+02:00"]),
        ("30 2 * * *", "America/New_York", "2027-03-14", ["2027-03-14T03:00-04:00"]),
        # Clocks go back: 02:30 (01:30 in New York) exists twice, and comes once.
        ("30 2 * * *", "Europe/Berlin", "2027-10-31", ["2027-10-31T02:30+02:00"]),
        ("30 1 * * *", "America/New_York", "2027-11-07", ["2027-11-07T01:30-04:00"]),
        # A day of 25 hours has 25 full hours, and one of 23 has 23.
        ("0 * * * *", "Europe/Berlin", "2027-10-31", 25),
        ("0 * * * *", "Europe/Berlin", "2027-03-28", 23),
    ],
)
def test_summer_time_skips_and_repeats_no_tick(cron: str, zone: str, day: str, expected: list[str] | int) -> None:
    begin = at(f"{day}T00:00", zone)
    end = at(f"{(datetime.fromisoformat(day) + timedelta(days=1)).date()}T00:00", zone)
    found = [local(tick, zone) for tick in between(definition(cron, timezone=zone), begin - 1, end - 1)]
    assert (len(found) if isinstance(expected, int) else found) == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_a_daily_schedule_comes_once_on_each_day_of_a_year(zone: str) -> None:
    schedule = definition("15 3 * * *", timezone=zone)
    found = between(schedule, at("2027-01-01T00:00", zone), at("2028-01-01T00:00", zone))
    days = [datetime.fromtimestamp(tick, ZoneInfo(zone)).date() for tick in found]
    assert len(days) == len(set(days)) == 365


def test_an_interval_counts_from_1970_wherever_it_is_computed() -> None:
    schedule = definition(every=90)
    assert list(islice(ticks.after(schedule, 1_800_000_000), 3)) == [1_800_000_090, 1_800_000_180, 1_800_000_270]
    assert list(islice(ticks.after(schedule, 1_800_000_100), 1)) == [1_800_000_180]


def test_there_are_no_ticks_after_the_end() -> None:
    assert list(ticks.after(definition(every=60, until=200.0), 0)) == [60, 120, 180]


NOW = 1_800_000_000.0
HOURLY = "0 * * * *"


@pytest.mark.parametrize(
    ("missed", "last", "expected"),
    [
        ("once", NOW - 100, [NOW]),
        # Three hours ago and longer: one for all of them.
        ("once", NOW - 3 * 3600 - 100, [NOW]),
        ("skip", NOW - 3 * 3600 - 100, [NOW]),
        ("all", NOW - 3 * 3600 - 100, [NOW - 10_800, NOW - 7200, NOW - 3600, NOW]),
    ],
)
def test_ticks_that_come_in_time_are_sent_and_missed_ones_as_the_schedule_says(
    missed: str, last: float, expected: list[float]
) -> None:
    assert ticks.due(definition(HOURLY, missed=missed), last, NOW + 1) == expected


@pytest.mark.parametrize(("missed", "expected"), [("once", [NOW]), ("skip", []), ("all", [NOW - 3600, NOW])])
def test_a_tick_that_is_too_late_was_missed(missed: str, expected: list[float]) -> None:
    assert ticks.due(definition(HOURLY, missed=missed), NOW - 3700, NOW + ticks.GRACE + 1) == expected


def test_a_long_pause_costs_no_time_and_is_made_up_for_within_a_bound() -> None:
    schedule = definition(every=1, missed="all")
    found = ticks.due(schedule, NOW - 30 * 86_400, NOW)
    assert 0 < len(found) <= ticks.MOST_MISSED and found[-1] == NOW


@pytest.mark.parametrize(
    ("cron", "zone", "problem"),
    [
        ("0 0 30 2 *", "UTC", "'0 0 30 2 *': Bad day-of-month; expected five fields"),
        ("61 * * * *", "UTC", "'61 * * * *': Bad minute; expected five fields, as 15 3 * * *"),
        ("* * *", "UTC", "'* * *': Wrong number of fields; expected five fields"),
        ("0 0 * * *", "Europe/Atlantis", "timezone='Europe/Atlantis': expected a name such as Europe/Berlin"),
        ("0 0 * * *", "../../etc/passwd", "timezone='../../etc/passwd': expected a name"),
        ("0 0 * * *", "", "timezone='': expected a name"),
    ],
)
def test_an_expression_that_cannot_be_used_is_explained(cron: str, zone: str, problem: str) -> None:
    (found,) = ticks.problems(cron, zone)
    assert problem in found


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (definition("15 3 * * *", timezone="Europe/Berlin"), "at 03:15 every day Europe/Berlin"),
        (definition(every=300), "every 5 minutes"),
        (definition(every=60), "every minute"),
        (definition(every=1), "every second"),
        (definition(every=90), "every 90 seconds"),
        (definition(every=86_400), "every day"),
    ],
)
def test_a_schedule_is_explained_in_words(schedule: Definition, words: str) -> None:
    assert ticks.explained(schedule) == words


def test_nothing_is_due_before_its_time() -> None:
    assert ticks.due(definition(HOURLY), NOW, NOW + 3599) == []
    assert datetime.fromtimestamp(NOW, UTC).minute == 0
