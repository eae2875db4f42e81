"""Reports: how they are recalculated, and how they are shown."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy import select

from app.reports import recalculation, visits
from app.reports.models import Progress, Report
from app.reports.periods import add_months, first_day
from tandem import job
from tandem.sql import transaction
from tests.unit.openapi_document import described_routes, routes_of, validated_examples

pytestmark = pytest.mark.usefixtures("database")


def visit(page: str, at: str) -> None:
    with transaction() as session:
        visits.add(session, [visits.NewVisit.model_validate({"page": page, "at": at})])


def reports(period: str) -> list[tuple[date, int, int]]:
    """Return start, visits and pages of the reports of a kind, oldest first."""
    with transaction() as session:
        found = session.scalars(select(Report).where(Report.period == period).order_by(Report.start))
        return [(one.start, one.visits, one.pages) for one in found]


def progress() -> list[tuple[str, int]]:
    with transaction() as session:
        return [(one.period, one.months) for one in session.scalars(select(Progress))]


@pytest.fixture
def one_month_a_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each delivery pause after one month, as if its time was up."""
    monkeypatch.setattr(job, "should_yield", lambda _seconds, *, begun: begun)


def test_periods_begin_where_they_should() -> None:
    days = [first_day(period, date(2026, 12, 31)) for period in ("monthly", "quarterly", "yearly")]
    assert days == [date(2026, 12, 1), date(2026, 10, 1), date(2026, 1, 1)]
    assert [add_months(date(2026, 11, 1), count) for count in (0, 1, 2, 14)] == [
        *(date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1), date(2028, 1, 1))
    ]


def test_visits_and_different_pages_are_counted_within_the_period(queue: Any) -> None:
    for page, at in (
        ("/prices", "2026-01-01T00:00:00Z"),
        ("/prices", "2026-01-31T23:59:59.999Z"),
        ("/Prices", "2026-02-01T00:00:00Z"),
        ("/prices", "2026-03-31T18:30:00Z"),
        ("/prices", "2026-01-01T00:30:00+01:00"),
    ):
        visit(page, at)
    queue.run_all()

    assert reports("monthly") == [
        *((date(2025, 12, 1), 1, 1), (date(2026, 1, 1), 2, 1), (date(2026, 2, 1), 1, 1), (date(2026, 3, 1), 1, 1)),
    ]
    assert reports("quarterly") == [(date(2025, 10, 1), 1, 1), (date(2026, 1, 1), 4, 2)]
    assert reports("yearly") == [(date(2025, 1, 1), 1, 1), (date(2026, 1, 1), 4, 2)]
    assert progress() == []


def test_many_visits_make_one_recalculation_of_each_report(queue: Any) -> None:
    for _ in range(5):
        visit("/prices", "2026-03-31T18:30:00Z")

    assert queue.run_all() == ["completed"] * 3
    assert reports("yearly") == [(date(2026, 1, 1), 5, 1)]


@pytest.mark.usefixtures("one_month_a_delivery")
def test_a_long_recalculation_pauses_after_a_month_and_goes_on(queue: Any) -> None:
    visit("/prices", "2026-03-31T18:30:00Z")

    assert sorted(queue.run_all()) == ["completed"] * 3 + ["snoozed"] * (2 + 11)
    assert reports("yearly") == [(date(2026, 1, 1), 1, 1)]


def test_a_worker_that_dies_leaves_the_months_that_it_has_counted(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    visit("/prices", "2025-01-31T18:30:00Z")
    counted = list[date]()
    counting = recalculation._count_month

    def die_in_june(session: Any, period: Any, first: date) -> int:
        if len(counted) == 5:
            raise KeyboardInterrupt
        counted.append(first)
        return counting(session, period, first)

    with monkeypatch.context() as patched:
        patched.setattr(recalculation, "_count_month", die_in_june)
        with pytest.raises(KeyboardInterrupt):
            recalculation.recalculate("yearly", "2025-01-01")
    assert progress() == [("yearly", 5)]

    recalculation.recalculate("yearly", "2025-01-01")
    assert (reports("yearly"), progress()) == ([(date(2025, 1, 1), 1, 1)], [])


def test_a_visit_in_a_month_that_is_counted_already_is_not_missed(queue: Any) -> None:
    """While a recalculation pauses, no second message is sent for its report."""
    visit("/prices", "2025-01-31T18:30:00Z")
    with transaction() as session:
        assert recalculation._count_month(session, "yearly", date(2025, 1, 1)) == 1
    visit("/about", "2025-01-31T18:30:00Z")

    recalculation.recalculate("yearly", "2025-01-01")

    assert reports("yearly") == [(date(2025, 1, 1), 2, 2)]


def test_a_report_that_fails_leaves_the_others_alone(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = recalculation._count_month

    def fail_for_a_quarter(session: Any, period: Any, first: date) -> int:
        if period == "quarterly":
            raise ValueError("a defect")
        return counting(session, period, first)

    monkeypatch.setattr(recalculation, "_count_month", fail_for_a_quarter)
    visit("/prices", "2026-03-31T18:30:00Z")
    queue.run_all()

    assert queue.failed() == ["ValueError: a defect"]
    assert [len(reports(period)) for period in ("monthly", "quarterly", "yearly")] == [1, 0, 1]


def test_every_night_each_report_is_recalculated_and_those_that_are_missing(queue: Any) -> None:
    visit("/prices", "2025-12-31T18:30:00Z")
    visit("/prices", "2026-03-31T18:30:00Z")
    with transaction() as session:
        session.add(
            Report(period="monthly", start=date(2024, 1, 1), visits=1, pages=1, recalculated_at=recalculation.now())
        )
    # As if the messages of the visits had been lost.
    queue._broker.client.flushall()

    recalculation.recalculate_all.send()
    queue.run_all()

    assert reports("monthly") == [(date(2024, 1, 1), 0, 0), (date(2025, 12, 1), 1, 1), (date(2026, 3, 1), 1, 1)]
    assert reports("yearly") == [(date(2025, 1, 1), 1, 1), (date(2026, 1, 1), 1, 1)]


def test_reports_are_listed_newest_first_with_a_link_to_older_ones(client: FlaskClient, queue: Any) -> None:
    for month in (1, 2, 3):
        visit("/prices", f"2026-0{month}-01T00:00:00Z")
    queue.run_all()

    answer = client.get("/reports?period=monthly&limit=2")
    assert [one["start"] for one in answer.get_json()] == ["2026-03-01", "2026-02-01"]
    assert answer.headers["Link"] == '</reports?period=monthly&before=2026-02-01&limit=2>; rel="next"'
    older = client.get("/reports?period=monthly&before=2026-02-01&limit=2")
    assert ([one["start"] for one in older.get_json()], "Link" in older.headers) == (["2026-01-01"], False)
    (one,) = client.get("/reports?period=quarterly&start=2026-01-01").get_json()
    assert one.pop("recalculated_at").endswith("Z")
    assert one == {"period": "quarterly", "start": "2026-01-01", "visits": 3, "pages": 1}
    assert client.get("/reports?period=yearly&start=2025-01-01").get_json() == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "period: Field required"),
        ("period=weekly", "period: Input should be 'monthly', 'quarterly' or 'yearly'"),
        ("period=quarterly&start=2026-02-01", "expected the first day of a quarterly report, such as 2026-01-01"),
        ("period=monthly&start=2026-02-02", "expected the first day of a monthly report, such as 2026-02-01"),
        ("period=monthly&start=1767225600", "expected a day such as"),
        ("period=monthly&start=2026-02-30", "start: Input should be a valid date"),
        ("period=monthly&limit=101", "limit: Input should be less than or equal to 100"),
        ("period=monthly&colour=red", "colour: Extra inputs are not permitted"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(client: FlaskClient, query: str, said: str) -> None:
    answer = client.get(f"/reports?{query}")

    assert answer.status_code == 422
    assert said in answer.get_json()["detail"]


def test_the_page_shows_the_newest_reports_without_script_or_inline_style(client: FlaskClient, queue: Any) -> None:
    assert "There is no report yet" in client.get("/visits").text
    visit("/<b>", "2026-03-31T18:30:00Z")
    queue.run_all()

    page = client.get("/visits")

    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.text.count('<th scope="row">') == 3
    assert "<script" not in page.text and "style=" not in page.text
    sheet = page.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert client.get(sheet).status_code == 200


def test_the_description_has_every_route_and_its_examples_fit(client: FlaskClient) -> None:
    document: Any = client.get("/openapi.json").get_json()

    OpenAPIV31SpecValidator(document).validate()
    assert described_routes(document) == routes_of(client.application)
    assert validated_examples(document) > 5
