"""Visits over HTTP, from messages and from files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.reports import recalculation, visits
from app.reports.commands import visits as command
from app.reports.models import Visit
from tandem.runtime import get_broker
from tandem.sql import tables, transaction

pytestmark = pytest.mark.usefixtures("database")
REPORTS = [("monthly", "2026-03-01"), ("quarterly", "2026-01-01"), ("yearly", "2026-01-01")]
GOOD = {"page": "/prices", "at": "2026-03-31T18:30:00.5+02:00", "note": "from a letter"}


def stored() -> list[Visit]:
    with transaction() as session:
        return list(session.scalars(select(Visit).order_by(Visit.id)))


def waiting_in_outbox() -> int:
    with transaction() as session:
        return session.scalar(select(func.count()).select_from(tables.outbox)) or 0


def imported(folder: Path, text: str) -> Any:
    (folder / "visits.csv").write_text(text, encoding="utf-8")
    return CliRunner().invoke(command, ["import", str(folder / "visits.csv")])


def test_a_visit_is_stored_and_asks_for_its_three_reports(client: FlaskClient, queue: Any) -> None:
    answer = client.post("/visits", json=GOOD)

    (visit,) = stored()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/visits/{visit.id}")
    expected = {"id": visit.id, "page": "/prices", "at": "2026-03-31T16:30:00.500Z", "note": "from a letter"}
    assert answer.get_json() == client.get(f"/visits/{visit.id}").get_json() == expected
    assert sorted(queue.sent("recalculate")) == REPORTS


def test_a_visit_without_a_time_is_one_of_now(client: FlaskClient, queue: Any) -> None:
    client.post("/visits", json={"page": " /prices "})

    (visit,) = stored()
    assert visit.page == "/prices"
    assert abs((recalculation.now() - visit.at).total_seconds()) < 60


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"page": ""}, "page: String should have at least 1 character"),
        ({"page": "  "}, "page: String should have at least 1 character"),
        ({"page": "x" * 201}, "page: String should have at most 200 characters"),
        ({"page": "/a\n/b"}, "expected one line"),
        ({"page": 7}, "page: Input should be a valid string"),
        ({"note": "x" * 201}, "note: String should have at most 200 characters"),
        ({"note": "a\0b"}, "without the character NUL"),
        ({"at": "2026-03-31T18:30:00"}, "at: Input should have timezone info"),
        ({"at": "2026-03-31"}, "expected a time such as"),
        ({"at": 1_700_000_000}, "expected a time such as"),
        ({"at": "1700000000"}, "expected a time such as"),
        ({"at": "1969-12-31T23:59:59Z"}, "expected a time from 1970 until now"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "expected a time from 1970 until now"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "expected a time from 1970 until now"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_refused_at_the_edge(
    client: FlaskClient, queue: Any, change: dict[str, Any], said: str
) -> None:
    answer = client.post("/visits", json=GOOD | change)

    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert said in answer.get_json()["detail"]
    assert (stored(), queue.messages()) == ([], [])


def test_a_body_that_is_no_json_is_refused(client: FlaskClient) -> None:
    assert client.post("/visits", data="{", content_type="application/json").status_code == 400
    assert client.post("/visits", data="[" * 60_000, content_type="application/json").status_code == 400
    assert client.post("/visits", data="page=/").status_code == 415


@pytest.mark.parametrize("id_", ["9223372036854775807", "9223372036854775808", "seven"])
def test_a_visit_that_there_is_not_is_not_found(client: FlaskClient, id_: str) -> None:
    assert client.get(f"/visits/{id_}").status_code == 404


def test_a_visit_is_kept_while_redis_is_away_and_its_messages_follow(
    client: FlaskClient, queue: Any, redis_away: Any
) -> None:
    with redis_away(), transaction() as session:
        visits.add(session, [visits.NewVisit(page="/prices")])
    assert (len(stored()), queue.messages(), waiting_in_outbox()) == (1, [], 3)


def test_a_long_note_from_elsewhere_is_cut_and_the_log_says_so(queue: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "app.reports"):
        visits.record.send("/prices", note="ä" * 300)
        queue.run_all()

    (visit,) = stored()
    assert visit.note == "ä" * 200
    assert "a note of 300 characters was cut to 200" in caplog.text


def test_a_visit_from_elsewhere_that_cannot_be_stored_is_a_dead_letter_at_once(queue: Any) -> None:
    visits.record.send("", at="yesterday")

    assert queue.run_all() == ["failed"]
    assert queue.failed() == [
        "InvalidVisit: page: String should have at least 1 character; at: Value error, expected a time such as "
        "2026-03-31T18:30:00+02:00"
    ]


def test_a_message_that_is_delivered_again_stores_no_second_visit(queue: Any) -> None:
    message = visits.record.message("/prices")
    for _ in range(2):
        get_broker().enqueue(message)
        queue.run_all()

    assert len(stored()) == 1


def test_a_file_is_imported_and_its_reports_are_asked_for_once(
    queue: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "page,at,note\n/prices,2026-03-31T18:30:00Z,\n" + '/about,2026-03-01T00:00:00Z,"' + "x" * 201 + '"\n'
    ended = imported(tmp_path, text)

    assert (ended.exit_code, ended.output) == (0, "stored 2 visits; next: GET /reports?period=monthly\n")
    assert [(visit.page, len(visit.note or "")) for visit in stored()] == [("/prices", 0), ("/about", 200)]
    assert sorted(queue.sent("recalculate")) == REPORTS
    assert "a note of 201 characters was cut to 200" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("page,at\n/prices,2026-03-31T18:30:00Z\n/about,yesterday\n", "line 3: at: Value error, expected a time"),
        ("page,at\n/prices,2026-03-31T18:30:00Z,x\n", "line 2: expected 2 fields"),
        ("seite\n/prices\n", "has the columns seite: expected page, at, note"),
        ("", "has the columns : expected page, at, note"),
        ('page\n/prices\n"/about', "is not CSV in UTF-8"),
    ],
)
def test_a_file_with_an_invalid_line_stores_nothing(queue: Any, tmp_path: Path, text: str, said: str) -> None:
    ended = imported(tmp_path, text)

    assert ended.exit_code == 1
    assert said in ended.output
    assert (stored(), queue.messages()) == ([], [])
