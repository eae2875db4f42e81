"""The workload of reports on the real image, with the embedded database."""

from __future__ import annotations

from tests.integration.containers import Start
from tests.integration.tandem import APP_IMAGE, Tandem, await_true

REPORT = "/reports?period=yearly&start=2026-01-01"


def visit(tandem: Tandem, page: str) -> None:
    answer = tandem.request("POST", "/visits", json={"page": page, "at": "2026-03-31T18:30:00Z"})
    assert (answer.status_code, answer.headers["Location"][:8]) == (201, "/visits/"), answer.text


def reports(tandem: Tandem) -> list[tuple[int, int]]:
    """Return visits and pages of the report of the year, if there is one."""
    return [(one["visits"], one["pages"]) for one in tandem.request("GET", REPORT).json()]


def await_report(tandem: Tandem, visits: int, pages: int) -> None:
    what = f"a report of {visits} visits of {pages} pages"
    await_true(lambda: reports(tandem) == [(visits, pages)], seconds=60, what=what)


def test_a_visit_makes_a_report_and_both_survive_a_restart(start: Start) -> None:
    tandem = start(image=APP_IMAGE, WORKERS="1").await_healthy()
    assert reports(tandem) == []

    visit(tandem, "/prices")
    visit(tandem, "/prices")
    await_report(tandem, 2, 1)
    tandem.docker.restart()
    tandem.await_healthy()

    assert reports(tandem) == [(2, 1)]
    assert tandem.request("GET", "/visits/2").json()["page"] == "/prices"
    assert '<th scope="row">yearly</th>' in tandem.request("GET", "/visits").text
    visit(tandem, "/about")
    await_report(tandem, 3, 2)
    assert "ok database" in tandem.health()
    assert "recalculate_all" in tandem.output("queue", "schedules")


def test_a_killed_worker_loses_no_report(start: Start) -> None:
    tandem = start(image=APP_IMAGE, WORKERS="1").await_healthy()
    await_true(lambda: tandem.states().get("worker:worker_00") == "RUNNING", seconds=30, what="a worker")
    worker = tandem.output("supervisorctl", "pid", "worker:worker_00").strip()

    for number in range(10):
        visit(tandem, f"/{number}")
    tandem.output("sh", "-c", f"kill -9 {worker}")

    await_report(tandem, 10, 10)
