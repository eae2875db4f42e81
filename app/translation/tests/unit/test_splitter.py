"""Splitting a text: nothing is lost, and every piece fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translation import documents
from app.translation.documents.chunks import Document
from app.translation.documents.placeholders import protected_spans
from app.translation.documents.splitter import tokens

pytestmark = pytest.mark.slow

# Much white space of all kinds, and characters of one to four bytes.
TEXTS = st.text(st.sampled_from("aé漢。」😀. \n\t\r\u00a0\u2028!?") | st.characters(codec="utf-8"), max_size=400)


def split(text: str, *, budget: int) -> Document:
    return documents.read(text, "text", budget=budget)


@given(TEXTS, st.integers(2, 60))
def test_joined_pieces_are_the_text_byte_for_byte(text: str, budget: int) -> None:
    document = split(text, budget=budget)
    assert document.join([chunk.text for chunk in document.chunks]) == text


@given(TEXTS, st.integers(2, 60))
def test_every_piece_has_words_and_fits(text: str, budget: int) -> None:
    for chunk in split(text, budget=budget).chunks:
        assert chunk.text.strip() == chunk.text != ""
        assert tokens(chunk.text) <= budget


def test_a_long_chinese_paragraph_is_split_after_sentences() -> None:
    sentences = [f"第{number}天他说「今天的天气非常好。」我们就一起去公园散步了。" for number in range(40)]
    document = split("".join(sentences), budget=60)

    assert len(document.chunks) > 10
    assert all(chunk.text.endswith(("。", "」")) for chunk in document.chunks)
    assert document.join([chunk.text for chunk in document.chunks]) == "".join(sentences)


def test_white_space_between_paragraphs_never_reaches_the_model() -> None:
    document = split("\n One.\n \n\n  Two,\nthree.\r\n\r\nFour. \n", budget=500)

    assert [chunk.text for chunk in document.chunks] == ["One.", "Two,\nthree.", "Four."]
    assert document.join(["Uno.", "Dos,\ntres.", "Cuatro."]) == "\n Uno.\n \n\n  Dos,\ntres.\r\n\r\nCuatro. \n"


def test_a_long_paragraph_is_split_at_lines_and_then_at_sentences() -> None:
    document = split("A first one. A second one.\nA new line.", budget=5)

    assert [chunk.text for chunk in document.chunks] == ["A first one.", "A second one.", "A new line."]


def test_adjacent_parts_stay_together_if_they_fit() -> None:
    document = split("One. Two. Three. Four.", budget=4)

    assert [chunk.text for chunk in document.chunks] == ["One. Two.", "Three. Four."]


def test_an_endless_word_is_split_anywhere() -> None:
    document = split("漢" * 10, budget=4)

    assert [chunk.text for chunk in document.chunks] == ["漢漢漢", "漢漢漢", "漢漢漢漢"]


@pytest.mark.parametrize(
    "placeholder",
    [
        '<a href="/a" title="The dog. The cat. The tree.">',
        "`cat it. sort it. count it.`",
        "{n, plural, one {One dog. It is big.} other {Dogs. They are big.}}",
        "{{ the.dog | default: no dog }}",
        "[the dog. the cat](the-dog.md)",
        "https://example.org/" + "a" * 40,
    ],
)
@pytest.mark.parametrize("before", range(20))
def test_no_placeholder_is_split(placeholder: str, before: int) -> None:
    text = "Four. " * before + placeholder + " Five." * 30

    document = split(text, budget=30)

    assert [chunk.text for chunk in document.chunks if placeholder in chunk.text]
    assert document.join([chunk.text for chunk in document.chunks]) == text


def test_a_placeholder_that_is_too_long_by_itself_never_reaches_the_model() -> None:
    image = f"![A house](data:image/png;base64,{'Ab9+' * 100})"

    document = split(f"The house: {image} is big.", budget=30)

    assert [chunk.text for chunk in document.chunks] == ["The house:", "is big."]
    assert document.join(["La casa:", "es grande."]) == f"La casa: {image} es grande."


@given(TEXTS | st.text(st.sampled_from("a[](){}`<>|$% .\n\x1a\ue000"), max_size=200))
def test_protected_spans_do_not_change_the_length(text: str) -> None:
    assert [len(seen) for seen in (protected_spans(text), protected_spans(text).encode())] == [
        len(text),
        len(text.encode()),
    ]


@pytest.mark.parametrize("middle", [" " * 1_000_000, " \n" * 500_000, " " * 500_000 + "\n" + " " * 500_000])
def test_long_runs_of_white_space_are_split_in_linear_time(middle: str) -> None:
    # A pattern that retries every position of a run would take hours for these, and block the interpreter.
    text = f"a{middle}b"
    document = split(text, budget=500)
    assert document.join([chunk.text for chunk in document.chunks]) == text
