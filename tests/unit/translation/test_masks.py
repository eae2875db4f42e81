"""Placeholders are hidden from a model and come back exactly, or the answer is refused."""

from __future__ import annotations

import re
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translation.documents.masks import PlaceholdersChanged, mask

HIDDEN = [
    "{name}", "{0}", "{}", "{user.name!r:>10}", "{{x}}", "{{ user.name }}", "{{{raw}}}", "{% if a %}", "${x}", "#{x}",
    "%{x}", "{count, plural, one {# file} other {{name} has # files}}", "{0, number, #.##}", "%s", "%d", "%1$s",
    "%(n)d", "%5.2f", "%-10s", "%%", "%@", "%lld", "%1", "%PATH%", "$name", "$t(key.sub)", "@user", "<b>", "</b>",
    "<br/>",
    '<a href="x?a=b>c" target=_blank>', "<0>", "<!-- note -- this -->", "<%= x %>", "&amp;", "&#39;", "&#x27;",
    "https://example.com/a_(b)/{id}?q=1%20#top", "www.example.com", "<https://example.com>",
    "bob.smith+x@mail.example.com",
    "![a picture](i.png)", "`code x`", "``a ` b``", "[1]", "⟦1⟧", "【2】", "⟦ 3 ⟧", "［４］",  # noqa: RUF001
]  # fmt: skip
KEPT = [
    "$5", "5$", "100% sure", "50% discount", "5% de", "100%sure", "5 %de", "a < b", "{a remark in braces}", "AT&T",
    "`Twas the `night", "``Hello,'' he said. ``Bye''", "[see there]", "a@b", "***", "#1", "3/4", "10:30",
]  # fmt: skip
PIECES = [
    *HIDDEN,
    *KEPT,
    "[text](http://a.b)",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "⟦",
    "⟧",
    "<",
    ">",
    "`",
    "%",
    "$",
    "1",
    " ",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join)


@pytest.mark.parametrize("placeholder", HIDDEN)
def test_a_placeholder_is_one_token(placeholder: str) -> None:
    masked = mask(f"See {placeholder}, please.")
    assert (masked.text, masked.hidden) == ("See ⟦1⟧, please.", (placeholder,))


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_placeholder_is_for_the_model(text: str) -> None:
    assert mask(f"See {text} there.").hidden == ()


def test_the_text_of_a_link_is_for_the_model_and_its_address_is_not() -> None:
    masked = mask('Read [the {x} guide](https://a.b/(c) "A title") and [a] (b).')
    assert masked.text == "Read ⟦1⟧the ⟦2⟧ guide⟦3⟧ and [a] (b)."
    assert masked.hidden == ("[", "{x}", '](https://a.b/(c) "A title")')


def test_markdown_has_more_that_is_hidden() -> None:
    text = "A [word][ref][^1]  \nand `code` and [name][]."
    assert mask(text, markdown=True).text == "A ⟦1⟧word⟦2⟧⟦3⟧⟦4⟧\nand ⟦5⟧ and ⟦6⟧."
    assert mask(text).text == "A [word][ref][^1]  \nand ⟦1⟧ and [name][]."


@given(TEXTS, st.booleans())
def test_what_was_masked_comes_back(text: str, markdown: bool) -> None:
    masked = mask(text, markdown=markdown)
    assert masked.restore(masked.text) == text


@given(TEXTS, st.data())
def test_a_token_that_is_lost_or_doubled_is_noticed(text: str, data: st.DataObject) -> None:
    masked = mask(text + "{last}")
    token = f"⟦{data.draw(st.integers(1, len(masked.hidden)))}⟧"
    for answer in (masked.text.replace(token, ""), masked.text + token, masked.text + f"⟦{len(masked.hidden) + 1}⟧"):
        with pytest.raises(PlaceholdersChanged):
            masked.restore(answer)


@given(TEXTS, st.randoms(use_true_random=False))
def test_tokens_may_change_their_order(text: str, random: Random) -> None:
    masked = mask(text)
    tokens = re.findall("⟦[0-9]+⟧", masked.text)
    order = random.sample(range(len(tokens)), len(tokens))
    assert masked.restore("".join(tokens[n] for n in order)) == "".join(masked.hidden[n] for n in order)


@pytest.mark.parametrize("token", ["⟦ 1 ⟧", "［1］", "【１】", "[1]", "⟦1]", "⟦١⟧"])  # noqa: RUF001
def test_other_brackets_and_white_space_in_a_token_are_understood(token: str) -> None:
    assert mask("Hi {name}.").restore(f"Hola {token}.") == "Hola {name}."


def test_brackets_of_the_answer_are_no_token_where_none_is_missing() -> None:
    assert mask("Hi {name}.").restore("Hola ⟦1⟧【1】[2].") == "Hola {name}【1】[2]."


def test_the_sentence_names_what_is_missing_and_what_was_added() -> None:
    masked = mask("Hi {name}, %s and %d.")
    with pytest.raises(PlaceholdersChanged, match=r"the answer lacks %s and has \{name\}, ⟦9⟧ once too often"):
        masked.restore("⟦1⟧ ⟦1⟧ ⟦3⟧ ⟦9⟧")


def test_the_sentence_is_short_whatever_is_missing() -> None:
    masked = mask(" ".join(f"{{{'x' * 500}{number}}}" for number in range(500)))
    with pytest.raises(PlaceholdersChanged) as error:
        masked.restore("")
    assert len(str(error.value)) < 200
    assert str(error.value).endswith("497 more")


@pytest.mark.parametrize("text", ["", "12 + 5", "{name}: %s", "https://example.com", "<b>{x}</b> …", "[1]", "123 %"])
def test_a_text_without_words_is_known(text: str) -> None:
    assert not mask(text).has_words


@pytest.mark.parametrize("text", ["a", "{x} y", "漢", "[text](http://a.b)"])
def test_a_text_with_words_is_known(text: str) -> None:
    assert mask(text).has_words


# Beginnings of placeholders that never end, and ends that look like new beginnings.
NASTY = [
    "{a, plural, ", "[", "[](", '[a](b "', "<a ", '<a x="', "<a b=c ", "<!--", "`", "`a ", "``a `", "http://", "http://.",
    "a.", "a@a.", "%", "5%", "%(", "%1$", "${", "{{", "{% ", "</", "<%", "⟦", "⟦1", "⟦ ", "]( ", "[x][", " ", "$a", "@",
    "$t(", "{", "'{", "![", "![a](", "[^", "a", " \n", "\\", "%-0", "x`y ", "`x\n", "``x`\n", '<a ""\'<a ', "'\"<a ",
]  # fmt: skip


@pytest.mark.parametrize("unit", NASTY)
def test_nasty_texts_take_linear_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    began = time.process_time()
    masked = mask(text, markdown=True)
    assert masked.restore(masked.text) == text
    # It takes a fifth of a second; what is not linear takes minutes.
    assert time.process_time() - began < 10


SENTENCES = (Path(__file__).parents[2] / "data" / "placeholders.txt").read_text().splitlines()
_WORDS = re.compile(r"[^\W\d_]+")


def test_sentences_with_placeholders_of_all_kinds_survive_a_model_that_changes_every_word() -> None:
    assert len(set(SENTENCES)) == 500
    for sentence in SENTENCES:
        masked = mask(sentence)
        assert masked.hidden and masked.has_words, sentence
        answer = masked.restore(_WORDS.sub("palabra", masked.text))
        assert all(placeholder in answer for placeholder in masked.hidden), sentence
        # What is between the placeholders has changed, and nothing else has.
        literal = "|".join(map(re.escape, sorted(set(masked.hidden), key=len, reverse=True)))
        assert re.findall(literal, answer) == re.findall(literal, sentence) == list(masked.hidden), sentence
        assert set(_WORDS.findall(re.sub(literal, "", answer))) == {"palabra"}, sentence
