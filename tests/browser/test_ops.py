"""Every view and action of the operations page, in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import READ_TOKEN, Visit, failed_note
from tests.browser.fixtures import SCREENS, SCREENSHOTS
from tests.browser.operator import Operator
from tests.integration.tandem import Tandem, await_true

#: Where the pictures of the documentation are to be written: docs/images, when the page has changed.
DOCS_IMAGES = os.environ.get("TANDEM_DOCS_IMAGES")
VIEWS = {
    "overview": "/ops",
    "ready": "/ops/messages?state=ready",
    "delayed": "/ops/messages?state=delayed",
    "running": "/ops/messages?state=running",
    "failed": "/ops/messages?state=failed&actor=fail",
    "handled": "/ops/messages?state=handled",
    "failures": "/ops/failures",
    "message": "/ops/message?id={note}&arguments=show",
    "log": "/ops/log",
    "actions": "/ops/actions",
    "send": "/ops/send?actor=count",
    "refused": "/ops/messages?state=lost",
    "docs": "/docs",
}


def address(tandem: Tandem, view: str) -> str:
    path = VIEWS[view]
    return path.format(note=failed_note(tandem)) if "{note}" in path else path


def assert_accessible(operator: Operator) -> None:
    assert not operator.scrolls_sideways
    violations = Axe().run(operator.page).response["violations"]
    assert not [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in violations]


@pytest.mark.parametrize("screen", SCREENS)
def test_each_view_is_accessible_and_does_not_overflow(screen: str, visit: Visit, seeded: Tandem) -> None:
    operator = visit(seeded, **SCREENS[screen])
    for view in VIEWS:
        operator.open(address(seeded, view))
        operator.picture(f"ops-{screen}-{view}", SCREENSHOTS)
        assert_accessible(operator)
    for details in operator.open("/ops").page.locator("details").all():
        details.locator("summary").click()
    assert_accessible(operator)
    assert_accessible(visit(seeded, token="", **SCREENS[screen]).open("/ops"))


def test_the_pictures_of_the_documentation_can_be_taken(visit: Visit, seeded: Tandem, tmp_path: Path) -> None:
    operator = visit(seeded, viewport={"width": 1180, "height": 700})
    folder = DOCS_IMAGES or str(tmp_path)
    for view in ("overview", "failures", "message"):
        operator.open(address(seeded, view).removesuffix("&arguments=show"))
        operator.picture(f"ops-{view}", folder)
        assert (Path(folder) / f"ops-{view}.png").stat().st_size > 10_000


def test_everything_can_be_read_without_javascript(visit: Visit, seeded: Tandem) -> None:
    operator = visit(seeded, java_script_enabled=False)
    operator.sees("urgent is paused: 5 messages of urgent wait.").sees("fail")
    operator.open("/ops/failures").sees("RuntimeError \N{MULTIPLICATION SIGN} 13")
    operator.open("/ops/messages?state=failed&actor=fail").sees("an actor that always fails")
    operator.open(address(seeded, "message")).sees("a note that nobody can write").sees("Traceback")
    operator.open("/ops/log").sees("worker_00")


def test_the_token_for_looking_shows_no_button_that_acts(visit: Visit, seeded: Tandem) -> None:
    operator = visit(seeded, READ_TOKEN)
    for view in VIEWS:
        operator.open(address(seeded, view))
        buttons = {button.inner_text() for button in operator.page.get_by_role("button").all()}
        assert buttons <= {"Sign out", "Find", "Show", "Choose"}, (view, buttons)


def test_numbers_agree_with_queue_stats(visit: Visit, seeded: Tandem) -> None:
    operator = visit(seeded)
    row = operator.page.get_by_role("row").filter(has=operator.page.get_by_role("rowheader", name="work", exact=True))
    cells = [cell.inner_text().strip() for cell in row.first.get_by_role("cell").all()]
    (line,) = [line.split() for line in seeded.output("queue", "stats").splitlines() if line.startswith("work ")]
    ready, in_flight, delayed, failed = line[1], line[3], line[4], line[6]
    assert (cells[0], cells[2], cells[3], cells[4]) == (ready, in_flight, delayed, failed)


def test_a_wrong_token_is_refused_and_the_page_can_be_left(visit: Visit, fresh: Tandem) -> None:
    operator = visit(fresh, token="").open("/ops")
    operator.page.get_by_label("The OPS_TOKEN").fill("wrong-token-0123456789")
    operator.press("Sign in").sees("This is neither the OPS_TOKEN nor the OPS_READ_TOKEN.")
    operator = visit(fresh)
    operator.press("Sign out").sees("Sign in")
    operator.open("/ops/messages").sees("Sign in")


def test_the_page_is_live_and_stops_while_it_is_hidden(visit: Visit, fresh: Tandem) -> None:
    operator = visit(fresh)
    fresh.output("queue", "pause", "urgent")
    operator.sees("paused")
    fresh.output("queue", "resume", "urgent")
    operator.sees_not("paused")
    operator.page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    before = operator.requests.count("/ops")
    fresh.output("queue", "pause", "urgent")
    operator.page.wait_for_timeout(3000)
    assert operator.requests.count("/ops") == before
    operator.page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    operator.sees("paused")
    fresh.output("queue", "resume", "urgent")


def test_failures_are_retried_and_removed_by_kind(visit: Visit, fresh: Tandem) -> None:
    fresh.send("fail", "by-kind", 1, times=3)
    await_true(lambda: '"failed": 3' in fresh.output("queue", "stats", "--json"), seconds=30, what="the failures")
    operator = visit(fresh).open("/ops/failures")
    operator.press("Retry 3").sees("3 messages were retried.")
    await_true(lambda: len(fresh.noted("by-kind")) == 12, seconds=30, what="the second attempts")
    await_true(lambda: '"failed": 3' in fresh.output("queue", "stats", "--json"), seconds=30, what="failed again")
    operator.open("/ops/failures").press("Remove 3").sees("Remove 3 failed messages? They are gone then")
    operator.press("Yes, do it").sees("3 messages were removed.").sees("No failed messages.")
    operator.open("/ops/actions").sees("retry-all").sees("remove-all")


def test_a_running_message_is_interrupted(visit: Visit, fresh: Tandem) -> None:
    fresh.send("wait_for_go", "canceled")
    operator = visit(fresh)
    await_true(lambda: fresh.noted("canceled:began"), seconds=20, what="it runs")
    operator.open("/ops/messages?state=running").page.locator("table a").first.click()
    operator.press("Cancel", confirm=True).sees("Its worker interrupts the message within two seconds.")
    await_true(lambda: '"failed": 1' in fresh.output("queue", "stats", "--json"), seconds=20, what="it is interrupted")
    operator.open("/ops/failures").sees("Canceled \N{MULTIPLICATION SIGN} 1").press("Remove 1", confirm=True)
    operator.sees("1 message was removed.")
    assert not fresh.noted("canceled")


def test_a_delayed_message_is_run_now_and_another_one_canceled(visit: Visit, fresh: Tandem) -> None:
    fresh.output("queue", "try", "count", '["run-now", 1]', "--times", "2", "--delay", "86400000")
    operator = visit(fresh).open("/ops/messages?state=delayed")
    operator.page.locator("table a").first.click()
    operator.press("Run now").sees("The message is the next of its queue.")
    await_true(lambda: fresh.noted("run-now") == ["1"], seconds=20, what="it has run")
    operator.open("/ops/messages?state=delayed").press("Cancel all that were found").sees("Cancel 1 message?")
    operator.press("Yes, do it").sees("1 message was canceled.").sees("No delayed messages.")


def test_a_message_is_sent_and_found_among_the_handled_ones(visit: Visit, fresh: Tandem) -> None:
    operator = visit(fresh).open("/ops/send?actor=count")
    operator.page.get_by_label("key: text").fill("sent-by-hand")
    operator.page.get_by_label("number: int").fill("many")
    operator.press("Send").sees("number: many is not JSON")
    operator.page.get_by_label("number: int").fill("7")
    operator.press("Send").sees("to work.")
    await_true(lambda: fresh.noted("sent-by-hand") == ["7"], seconds=20, what="it has run")
    operator.open("/ops/messages?state=handled&actor=count").sees("completed")


def test_a_queue_is_paused_emptied_and_resumed(visit: Visit, fresh: Tandem) -> None:
    operator = visit(fresh)

    def open_actions() -> None:
        row = operator.page.get_by_role("row").filter(has=operator.page.get_by_role("rowheader", name="urgent"))
        row.locator("summary").click()

    fresh.send("overtake", "warm", 1)
    operator.open("/ops")
    open_actions()
    operator.press("Pause").sees("urgent is paused")
    fresh.send("overtake", "purged", 1, times=4)
    operator.open("/ops")
    open_actions()
    operator.press("Remove what waits").sees("Remove 4 messages that wait in urgent?")
    operator.press("Yes, do it").sees("4 messages of urgent removed")
    open_actions()
    operator.press("Resume").sees("urgent is resumed")


def test_workers_are_replaced(visit: Visit, fresh: Tandem) -> None:
    names = ("worker:worker_00", "worker:worker_01")

    def pids() -> set[str]:
        """Return the processes of the workers that run; "0" is one that is being started."""
        return {fresh.run("supervisorctl", "pid", name)[1].strip() for name in names} - {"0"}

    before = pids()
    operator = visit(fresh).press("Replace all workers by fresh ones").sees("2 workers asked to stop")
    await_true(lambda: len(pids() - before) == 2, seconds=30, what="both workers are other processes")
    operator.open("/ops/actions").sees("stop-workers")


def test_two_operators_who_retry_the_same_do_it_once(visit: Visit, fresh: Tandem) -> None:
    fresh.send("fail", "twice", 1)
    await_true(lambda: '"failed": 1' in fresh.output("queue", "stats", "--json"), seconds=30, what="the failure")
    one, two = visit(fresh).open("/ops/failures"), visit(fresh).open("/ops/failures")
    one.press("Retry 1").sees("1 message was retried.")
    two.press("Retry 1").sees("Nothing was retried: the messages have moved meanwhile.")
    await_true(lambda: len(fresh.noted("twice")) == 4, seconds=30, what="one retry")
    fresh.output("queue", "failed", "remove", "--all", "--force")


def test_it_can_be_used_by_keyboard_alone(visit: Visit, seeded: Tandem) -> None:
    operator = visit(seeded)
    operator.page.keyboard.press("Tab")
    expect(operator.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(3):
        operator.page.keyboard.press("Tab")
    expect(operator.page.get_by_role("link", name="Failures")).to_be_focused()
    operator.page.keyboard.press("Enter")
    operator.sees("Failures by kind")


def test_while_redis_is_away_the_page_says_so_and_comes_back_by_itself(visit: Visit, fresh: Tandem) -> None:
    operator = visit(fresh)
    fresh.output("supervisorctl", "stop", "redis")
    operator.open("/ops").sees("Redis does not answer")
    fresh.output("supervisorctl", "start", "redis")
    operator.sees("Queues")
