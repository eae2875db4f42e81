"""Every state of the page is accessible and does not overflow, in every size and both colour schemes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from app.translation.tests.browser.conftest import Visit
from app.translation.tests.browser.visitor import PARAGRAPH, Visitor
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from tests.browser.fixtures import SCREENS

TEXT = f"{PARAGRAPH}\n\nWe have two cats and a small garden with many flowers."


def empty(visitor: Visitor) -> None:
    visitor.sees("The translation appears here.")


def running(visitor: Visitor) -> None:
    visitor.translate(TEXT, model="apertium-stall").sees("0 of 2 parts")


def done(visitor: Visitor) -> None:
    visitor.translate(TEXT).sees_result()


def done_with_problems(visitor: Visitor) -> None:
    visitor.translate(TEXT, model="apertium-echo").sees_result().sees("2 parts need a review")


def failed(visitor: Visitor) -> None:
    visitor.translate(TEXT, target="de").sees("It could not be translated.")


def refused(visitor: Visitor) -> None:
    visitor.page.get_by_text("More options").click()
    visitor.choose("a-file-with-quite-a-long-name-indeed.md", f"# House\n\n{TEXT}".encode())
    visitor.page.get_by_label("From").select_option("es")
    visitor.send().sees_problem("the same language")


def away(visitor: Visitor) -> None:
    visitor.page.route("**/events", lambda route: route.abort())
    visitor.translate(TEXT, model="apertium-stall").sees("The connection is lost.")


def token_form(visitor: Visitor) -> None:
    expect(visitor.page.get_by_role("dialog")).to_be_visible()


STATES: list[Callable[[Visitor], None]] = [
    empty,
    running,
    done,
    done_with_problems,
    failed,
    refused,
    away,
    token_form,
]


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("state", STATES)
def test_each_state_is_accessible_and_does_not_overflow(
    state: Callable[[Visitor], None], screen: str, visit: Visit, app: Tandem, locked_app: Tandem
) -> None:
    visitor = visit(locked_app if state is token_form else app, **SCREENS[screen]).open()
    state(visitor)
    visitor.picture(f"{screen}-{state.__name__}")

    assert not visitor.scrolls_sideways
    violations = Axe().run(visitor.page).response["violations"]
    assert not [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in violations]
    if visitor.translation_id and state in (running, away):
        app.request("DELETE", f"/translations/{visitor.translation_id}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_follow_the_colour_scheme_of_the_system(scheme: str, visit: Visit, app: Tandem) -> None:
    visitor = visit(app, color_scheme=scheme).open()

    paper = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert paper == {"light": "rgb(247, 246, 242)", "dark": "rgb(19, 23, 21)"}[scheme]


def test_nothing_is_animated_with_reduced_motion(visit: Visit, app: Tandem) -> None:
    visitor = visit(app, reduced_motion="reduce").open()

    assert visitor.page.evaluate("getComputedStyle(document.getElementById('progress')).animationName") == "none"


def test_a_right_to_left_text_is_aligned_right(visit: Visit, app: Tandem) -> None:
    visitor = visit(app).open()

    side = visitor.page.evaluate(
        """async () => {
          const result = await import("/static/translation/result.js");
          result.show({ id: "", target: "ar", translation: "السلام عليكم", problems: [] });
          const box = document.getElementById("result");
          const range = document.createRange();
          range.selectNodeContents(box.firstChild);
          const middle = box.getBoundingClientRect().x + box.clientWidth / 2;
          return { lang: box.lang, right: range.getClientRects()[0].x > middle };
        }"""
    )

    assert side == {"lang": "ar", "right": True}
