"""Every line keeps its place in a translation."""

import time

import pytest

from app.translation.model.layout import LayoutLost, keep_lines

pytestmark = pytest.mark.slow


def shout(text: str) -> str:
    return text.upper()


def calls_for(text: str) -> list[str]:
    """What the translator is asked for."""
    calls: list[str] = []

    def remember(piece: str) -> str:
        calls.append(piece)
        return piece

    keep_lines(text, remember)
    return calls


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        " \t ",
        "one",
        "  one two  \n",
        "\n\n# Title\n\n\n- one\n- two\t\n\n\n  three\r\nfour\n",
        "one\0two\0\0three",
        "this line is long enough to have been wrapped by\nhand, in lower case.\nAnother one.",
    ],
)
def test_lines_blank_lines_and_whitespace_at_the_ends_survive(text: str) -> None:
    assert keep_lines(text, shout) == text.upper()


def test_all_lines_go_through_one_call() -> None:
    assert calls_for("one\ntwo\n\n\nthree\n") == ["one\n\ntwo\n\nthree"]


def test_a_wrapped_sentence_stays_one_sentence() -> None:
    text = "This long line was wrapped by hand in the middle of\nits only sentence.\nThe next."
    assert calls_for(text) == [text.replace(".\n", ".\n\n")]


def test_a_lost_line_break_leads_to_a_second_call_line_by_line() -> None:
    text = "This long line was wrapped by hand in the middle of\nits only sentence."

    def loses_single_breaks(piece: str) -> str:
        return piece if "\n\n" in piece else piece.replace("\n", " ")

    assert keep_lines(text, loses_single_breaks) == text


def test_a_lost_line_is_an_error() -> None:
    with pytest.raises(LayoutLost):
        keep_lines("one\ntwo", lambda text: text.replace("\n", " "))


def test_a_line_in_lower_case_stays_in_lower_case() -> None:
    assert keep_lines("- first\nSecond", str.title) == "- first\nSecond"
    assert keep_lines("yo\nonu", {"yo\n\nonu": "I\n\nUN"}.__getitem__) == "I\nUN"


def test_spaces_around_a_dropped_word_become_one() -> None:
    assert keep_lines("Hi, you do", lambda text: text.replace("you", "")) == "Hi, do"
    assert keep_lines("a  b", lambda text: text) == "a  b"


def test_megabytes_of_whitespace_take_no_longer_than_text() -> None:
    started = time.monotonic()
    keep_lines("a" + " " * 1_000_000 + "b" + "\n" * 1_000_000 + "c", shout)
    assert time.monotonic() - started < 5
