"""The page as people use it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, expect

from app.translation.tests.browser.conftest import TOKEN, Visit
from app.translation.tests.browser.visitor import PARAGRAPH, Visitor, payload
from app.translation.tests.integration.translating import TranslatingTandem as Tandem
from tests.integration.tandem import await_true

HOUSE, CASA = "The house is beautiful.", "La casa es bella."
# Long enough to be observed during the translation.
LONG = "\n\n".join(f"{PARAGRAPH} This is number {number}." for number in range(20))
SUBTITLES = (
    "1\n00:00:01,000 --> 00:00:03,500\nThe house is beautiful.\n\n2\n00:00:04,000 --> 00:00:06,000\nGood morning.\n"
)
LIMIT = 1_000_000
# Chromium lays out a million characters of a text field in one frame: a second or two on a busy machine.
MAX_FRAME_MS = 5_000


def test_a_text_is_translated_beside_its_source(visitor: Visitor) -> None:
    visitor.translate(HOUSE).sees_result(CASA)

    result = visitor.page.get_by_role("region", name="Translated text")
    assert result.get_attribute("lang") == "es"
    left, right = visitor.page.locator("#drop").bounding_box(), result.bounding_box()
    assert left and right
    assert left["x"] + left["width"] < right["x"]
    visitor.sees("Spanish from English, by apertium")


def test_the_language_of_the_text_is_detected(visitor: Visitor) -> None:
    visitor.translate("La maison est belle et le jardin est grand.", source="")
    visitor.sees_result("La casa es guapa y el jardín es grande.")
    visitor.sees("Spanish from French (detected)")


def test_progress_is_shown_in_parts(visitor: Visitor) -> None:
    visitor.translate(LONG)

    expect(visitor.page.get_by_text("of 20 parts")).to_be_visible()
    bar = visitor.page.get_by_role("progressbar", name="Finished parts")
    await_true(lambda: 0 < float(bar.get_attribute("value") or 0) < 20, seconds=20, what="the bar moves")
    assert re.match(r"\d+ % ", visitor.page.title())
    visitor.sees_result()
    assert visitor.page.title().startswith("Done")


def test_a_dropped_file_comes_back_translated_under_its_name(visitor: Visitor, app: Tandem, tmp_path: Path) -> None:
    visitor.drop(("Überfall.srt", SUBTITLES))
    expect(visitor.page.get_by_label("Text to translate")).to_have_value(SUBTITLES)
    expect(visitor.page.get_by_label("Kind of text")).to_have_value("srt")
    visitor.page.get_by_label("From").select_option("en")
    visitor.send().sees_result()

    download = visitor.download()
    download.save_as(tmp_path / "result")

    result = app.request("GET", f"/translations/{visitor.translation_id}/result")
    assert (tmp_path / "result").read_bytes() == result.content
    assert quote(download.suggested_filename) in result.headers["Content-Disposition"]
    assert download.suggested_filename.startswith("Überfall")
    assert result.text == SUBTITLES.replace(HOUSE, CASA).replace("Good morning.", "Buenos días.")


def test_a_json_file_keeps_its_keys(visitor: Visitor, tmp_path: Path) -> None:
    visitor.choose("texts.json", json.dumps({"house": HOUSE}).encode())
    visitor.page.get_by_label("From").select_option("en")
    visitor.send().sees_result()

    visitor.download().save_as(tmp_path / "result")

    assert json.loads((tmp_path / "result").read_text()) == {"house": CASA}


def test_a_chosen_file_can_be_removed(visitor: Visitor) -> None:
    visitor.choose("notes.md", b"# House").page.get_by_role("button", name="Remove").click()

    text = visitor.page.get_by_label("Text to translate")
    expect(text).to_have_value("")
    expect(text).to_be_focused()
    visitor.translate(HOUSE).sees_result(CASA)


def test_a_translation_can_be_cancelled(visitor: Visitor, app: Tandem) -> None:
    visitor.translate(LONG, model="apertium-stall").page.get_by_role("button", name="Cancel").click()

    visitor.sees("Cancelled.")
    assert app.translation(visitor.translation_id)["status"] == "cancelled"
    expect(visitor.page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_a_reload_during_a_translation_continues_to_show_it(visitor: Visitor) -> None:
    visitor.translate(LONG).sees("of 20 parts")
    before = visitor.translation_id

    visitor.page.reload()

    visitor.sees("of 20 parts").sees_result()
    assert visitor.translation_id == before
    expect(visitor.page.get_by_label("Text to translate")).to_have_value(LONG)
    expect(visitor.page.get_by_label("From")).to_have_value("en")


def test_the_url_of_a_translation_works_in_another_browser(visitor: Visitor, visit: Visit, app: Tandem) -> None:
    visitor.translate(HOUSE).sees_result(CASA)

    visit(app).open(f"/#{visitor.translation_id}").sees_result(CASA)


def test_the_last_translations_are_listed_and_can_be_opened(visitor: Visitor) -> None:
    visitor.translate(HOUSE).sees_result(CASA)
    visitor.page.get_by_role("link", name="New translation").click()
    visitor.translate("Good morning.").sees_result("Buenos días.")

    visitor.open()

    links = visitor.page.get_by_role("region", name="Last translations").get_by_role("link")
    expect(links).to_have_text(["Good morning.", HOUSE])
    visitor.sees("English to Spanish · done")
    links.nth(1).click()
    visitor.sees_result(CASA)
    visitor.page.go_back()
    expect(visitor.page.get_by_role("region", name="Translated text")).to_be_hidden()


def test_expired_translations_are_removed_from_the_list(visitor: Visitor, app: Tandem) -> None:
    visitor.translate(HOUSE).sees_result(CASA)
    app.redis("DEL", f"tandem:translation:{visitor.translation_id}")

    visitor.open()

    expect(visitor.page.get_by_role("region", name="Last translations")).to_be_hidden()


def test_the_list_keeps_twenty_and_can_be_cleared(visitor: Visitor, app: Tandem) -> None:
    ids = [app.translate(HOUSE, source="en")["id"] for _ in range(20)]
    kept = json.dumps([{"id": id_, "title": f"text {number}"} for number, id_ in enumerate(ids)])
    visitor.page.evaluate("(kept) => localStorage.setItem('tandem.translations', kept)", kept)
    visitor.open()
    links = visitor.page.get_by_role("region", name="Last translations").get_by_role("link")

    visitor.translate(HOUSE).sees_result(CASA)

    expect(links).to_have_count(20)
    expect(links.first).to_have_text(HOUSE)
    visitor.page.get_by_role("button", name="Clear the list").click()
    expect(links).to_have_count(0)
    assert visitor.page.evaluate("localStorage.getItem('tandem.translations')") == "[]"


def test_the_result_can_be_copied(visitor: Visitor) -> None:
    visitor.translate("The house is beautiful.\n\n\nGood morning.\n").sees_result()

    visitor.page.get_by_role("button", name="Copy").click()

    visitor.sees("Copied")
    assert visitor.page.evaluate("navigator.clipboard.readText()") == "La casa es bella.\n\n\nBuenos días.\n"


def test_a_glossary_is_sent_and_an_invalid_line_is_reported(visitor: Visitor) -> None:
    visitor.write(HOUSE).page.get_by_text("More options").click()
    glossary = visitor.page.get_by_label("Glossary")

    glossary.fill("house = mansión\nbeautiful")
    visitor.send().sees_problem("Line 2 of the glossary is not “term = translation”.")
    glossary.fill("house = mansión\n\nbeautiful\thermosa")
    visitor.send().sees_result()

    (sent,) = visitor.sent("POST", "/translations")
    assert json.loads(sent.post_data or "")["glossary"] == {"house": "mansión", "beautiful": "hermosa"}


def test_parts_that_need_a_review_are_listed_with_their_text(visitor: Visitor) -> None:
    text = "The red house is very beautiful today and the garden is big."
    visitor.translate(text, model="apertium-echo").sees_result()

    problems = visitor.page.locator("#problems")
    expect(problems).to_contain_text("1 part needs a review")
    expect(problems).to_contain_text("The model returned the text untranslated")
    expect(problems).to_contain_text(text)


def test_parts_left_untranslated_on_purpose_are_listed(visitor: Visitor) -> None:
    visitor.choose("guide.md", f"---\nsidebar: left\n---\n\n{HOUSE}\n\n```\nrun it\n```\n".encode())
    visitor.page.get_by_label("From").select_option("en")
    visitor.send().sees_result()

    expect(visitor.page.get_by_text("Not translated on purpose: ")).to_have_text(
        "Not translated on purpose: front matter (1 part), code (1 part)."
    )

    visitor.page.get_by_role("button", name="Remove").click()
    visitor.translate(HOUSE).sees_result(CASA)
    expect(visitor.page.get_by_text("Not translated on purpose: ")).to_be_hidden()


def test_a_failed_translation_shows_the_reason(visitor: Visitor) -> None:
    visitor.translate(HOUSE, target="de").sees("It could not be translated.")
    visitor.sees("this offline model translates en→es")


def test_a_text_that_is_too_long_is_refused_with_the_limit(visitor: Visitor) -> None:
    visitor.translate("é" * (LIMIT + 7))

    visitor.sees("7 characters too many")
    visitor.sees_problem("The text has 1,000,007 characters, and at most 1,000,000 are allowed.")
    assert not visitor.sent("POST", "/translations")


def test_a_book_is_pasted_sent_and_shown_without_freezing_the_page(visitor: Visitor) -> None:
    book = (PARAGRAPH + "\n\n") * (LIMIT // (len(PARAGRAPH) + 2))
    visitor.page.evaluate("(book) => navigator.clipboard.writeText(book)", book)
    visitor.write("", model="apertium-stall").page.evaluate(_WATCH_FRAMES)

    visitor.page.get_by_label("Text to translate").press("Control+v")
    visitor.sees(f"{len(book):,} characters").send().sees("0 of")
    visitor.page.get_by_role("button", name="Cancel").click()
    visitor.sees("Cancelled.")
    visitor.page.evaluate(_SHOW_RESULT, book)
    visitor.sees_result()
    visitor.page.locator("#result").press("End")

    assert visitor.page.evaluate("maxFrame") < MAX_FRAME_MS


def test_invalid_input_is_reported_before_it_is_sent(visitor: Visitor) -> None:
    visitor.send().sees_problem("There is nothing to translate yet.")
    visitor.translate(HOUSE, source="es").sees_problem("From and To are the same language.")
    visitor.drop(("a.md", "a"), ("b.md", "b")).sees_problem("Only one file can be translated at a time.")
    visitor.drop(("a.docx", "a")).sees_problem("a.docx has an unknown format.")
    assert not visitor.sent("POST", "/translations")


def test_an_error_of_the_server_is_shown(visitor: Visitor) -> None:
    visitor.choose("broken.json", b'{"house": ')
    visitor.page.get_by_label("From").select_option("en")
    visitor.send().sees_problem("JSON")


def test_no_text_is_lost_while_the_server_is_unreachable(visitor: Visitor) -> None:
    visitor.write(HOUSE).context.set_offline(True)
    visitor.send().sees_problem("The server does not answer. Nothing is lost: try again in a moment.")

    visitor.context.set_offline(False)

    visitor.send().sees_result(CASA)
    expect(visitor.page.locator("#problem")).to_be_hidden()


def test_a_lost_connection_resumes_after_the_last_event(visitor: Visitor, app: Tandem) -> None:
    visitor.translate(LONG).sees("of 20 parts")

    app.output("supervisorctl", "stop", "web")
    visitor.sees("The connection is lost. The translation continues; this page reconnects by itself.")
    app.output("supervisorctl", "start", "web")

    visitor.sees_result()
    expect(visitor.page.get_by_text("The connection is lost.")).to_be_hidden()
    streams = visitor.sent("GET", "/events")
    assert "last-event-id" not in streams[0].headers
    assert int(streams[-1].headers["last-event-id"]) > 0


def test_an_unknown_translation_is_reported(visit: Visit, app: Tandem) -> None:
    visitor = visit(app).open("/#00000000-0000-4000-8000-000000000000")
    visitor.sees_problem("Translation 00000000-0000-4000-8000-000000000000 not found")


def test_the_token_is_requested_once(visit: Visit, locked_app: Tandem) -> None:
    visitor = visit(locked_app).open()
    dialog = visitor.page.get_by_role("dialog", name="This server requires a token")
    token = dialog.get_by_label("Token")

    expect(token).to_be_focused()
    token.fill("not-the-right-token-at-all")
    token.press("Enter")
    expect(dialog.get_by_text("The token is not valid.")).to_be_visible()
    token.fill(TOKEN)
    token.press("Enter")
    expect(dialog).to_be_hidden()
    visitor.translate(HOUSE).sees_result(CASA)
    visitor.open().page.reload()

    visitor.translate("Good morning.").sees_result("Buenos días.")
    expect(dialog).to_be_hidden()
    assert TOKEN not in visitor.page.url
    assert visitor.page.evaluate("JSON.stringify(localStorage)").find(TOKEN) == -1


def test_without_a_token_the_page_offers_to_enter_one(visit: Visit, locked_app: Tandem) -> None:
    visitor = visit(locked_app).open()

    visitor.page.keyboard.press("Escape")

    visitor.sees("This server requires a token.")
    visitor.page.get_by_role("button", name="Enter the token").click()
    visitor.page.get_by_label("Token", exact=True).fill(TOKEN)
    visitor.page.get_by_role("button", name="Continue").click()
    expect(visitor.page.get_by_role("button", name="Enter the token")).to_be_hidden()


def test_a_whole_translation_by_keyboard(visitor: Visitor) -> None:
    keyboard = visitor.page.keyboard
    visitor.tab_to("source")
    keyboard.type("Engl")
    visitor.tab_to("target")
    keyboard.type("Span")
    visitor.tab_to("text")
    keyboard.type(HOUSE)
    visitor.tab_to("send")
    keyboard.press("Enter")
    visitor.sees_result(CASA)
    visitor.tab_to("copy")
    keyboard.press("Enter")
    visitor.sees("Copied")
    visitor.tab_to("result")
    visitor.tab_to(HOUSE)


def test_a_file_is_chosen_by_keyboard(visitor: Visitor) -> None:
    visitor.tab_to("file")
    with visitor.page.expect_file_chooser() as chooser:
        visitor.page.keyboard.press("Space")
    chooser.value.set_files(payload("house.txt", HOUSE.encode()))

    expect(visitor.page.get_by_label("Text to translate")).to_have_value(HOUSE)


def test_control_enter_submits_the_text(visitor: Visitor) -> None:
    visitor.write(HOUSE).page.get_by_label("Text to translate").press("Control+Enter")
    visitor.sees_result(CASA)


def test_events_are_parsed_however_the_stream_is_split(visitor: Visitor) -> None:
    stream = ': hello\n\nid: 7\nevent: progress\r\ndata: {"a":\r\ndata: 1}\r\n\r\n'
    stream += "data: é\rdata\r\ridle\n\nid: 8\ndata: x\n\n"
    expected = [
        {"id": "7", "name": "progress", "data": '{"a":\n1}'},
        {"id": "7", "name": "message", "data": "é\n"},
        {"id": "8", "name": "message", "data": "x"},
    ]
    for size in (1, 2, 3, 5, len(stream)):
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert _parsed(visitor.page, pieces) == expected, size


def _parsed(page: Page, pieces: list[str]) -> object:
    return page.evaluate(
        """async (pieces) => {
          const { parser } = await import("/static/translation/events.js");
          return pieces.flatMap(parser());
        }""",
        pieces,
    )


_WATCH_FRAMES = """() => {
  window.maxFrame = 0;
  let last = performance.now();
  const measure = (now) => {
    window.maxFrame = Math.max(window.maxFrame, now - last);
    last = now;
    requestAnimationFrame(measure);
  };
  requestAnimationFrame(measure);
}"""
_SHOW_RESULT = """async (text) => {
  const result = await import("/static/translation/result.js");
  result.show({ id: "", target: "es", translation: text, problems: [] });
  document.getElementById("stage").hidden = true;
}"""
