"""Placeholders are hidden from a model and restored exactly, or the answer is refused."""

from __future__ import annotations

import re
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translation.documents.placeholders import PlaceholdersChanged, protect
from app.translation.tests.paths import DATA

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
    protected = protect(f"See {placeholder}, please.")
    assert (protected.text, protected.hidden) == ("See ⟦1⟧, please.", (placeholder,))


@pytest.mark.parametrize("text", KEPT)
def test_other_text_is_not_hidden(text: str) -> None:
    assert protect(f"See {text} there.").hidden == ()


def test_the_text_of_a_link_is_sent_and_its_address_is_hidden() -> None:
    protected = protect('Read [the {x} guide](https://a.b/(c) "A title") and [a] (b).')
    assert protected.text == "Read ⟦1⟧the ⟦2⟧ guide⟦3⟧ and [a] (b)."
    assert protected.hidden == ("[", "{x}", '](https://a.b/(c) "A title")')


def test_more_is_hidden_in_markdown() -> None:
    text = "A [word][ref][^1]  \nand `code` and [name][]."
    assert protect(text, markdown=True).text == "A ⟦1⟧word⟦2⟧⟦3⟧⟦4⟧\nand ⟦5⟧ and ⟦6⟧."
    assert protect(text).text == "A [word][ref][^1]  \nand ⟦1⟧ and [name][]."


@given(TEXTS, st.booleans())
def test_protected_text_is_restored(text: str, markdown: bool) -> None:
    protected = protect(text, markdown=markdown)
    assert protected.restore(protected.text) == text


@given(TEXTS, st.data())
def test_a_lost_or_repeated_token_is_detected(text: str, data: st.DataObject) -> None:
    protected = protect(text + "{last}")
    token = f"⟦{data.draw(st.integers(1, len(protected.hidden)))}⟧"
    for answer in (
        protected.text.replace(token, ""),
        protected.text + token,
        protected.text + f"⟦{len(protected.hidden) + 1}⟧",
    ):
        with pytest.raises(PlaceholdersChanged):
            protected.restore(answer)


@given(TEXTS, st.randoms(use_true_random=False))
def test_tokens_may_change_their_order(text: str, random: Random) -> None:
    protected = protect(text)
    tokens = re.findall("⟦[0-9]+⟧", protected.text)
    order = random.sample(range(len(tokens)), len(tokens))
    assert protected.restore("".join(tokens[n] for n in order)) == "".join(protected.hidden[n] for n in order)


@pytest.mark.parametrize("token", ["⟦ 1 ⟧", "［1］", "【１】", "[1]", "⟦1]", "⟦١⟧"])  # noqa: RUF001
def test_other_brackets_and_white_space_in_a_token_are_accepted(token: str) -> None:
    assert protect("Hi {name}.").restore(f"Hola {token}.") == "Hola {name}."


def test_brackets_in_the_answer_are_not_tokens_if_none_is_missing() -> None:
    assert protect("Hi {name}.").restore("Hola ⟦1⟧【1】[2].") == "Hola {name}【1】[2]."


def test_the_error_lists_missing_and_added_placeholders() -> None:
    protected = protect("Hi {name}, %s and %d.")
    with pytest.raises(PlaceholdersChanged) as error:
        protected.restore("⟦1⟧ ⟦1⟧ ⟦3⟧ ⟦9⟧")
    assert str(error.value) == "the answer lacks '%s' and has an extra '{name}', ⟦9⟧"
    assert error.value.by_number == "the answer lacks ⟦2⟧ and has an extra ⟦1⟧, ⟦9⟧"


def test_the_error_shows_the_repr_of_a_placeholder() -> None:
    with pytest.raises(PlaceholdersChanged) as error:
        protect("Hi {{\x1b]0;PWNED\x07\n2026-11-25T00:00:00.000Z ERROR}}.").restore("")
    assert str(error.value).isprintable()
    assert str(error.value).startswith(r"the answer lacks '{{\x1b]0;PWNED\x07\n2026")


def test_the_error_is_short_whatever_is_missing() -> None:
    protected = protect(" ".join(f"{{{'x' * 500}{number}}}" for number in range(500)))
    with pytest.raises(PlaceholdersChanged) as error:
        protected.restore("")
    assert len(str(error.value)) < 200
    assert str(error.value).endswith("497 more")


@pytest.mark.parametrize("text", ["", "12 + 5", "{name}: %s", "https://example.com", "<b>{x}</b> …", "[1]", "123 %"])
def test_a_text_without_words_has_none(text: str) -> None:
    assert not protect(text).has_words


@pytest.mark.parametrize("text", ["a", "{x} y", "漢", "[text](http://a.b)"])
def test_a_text_with_words_has_some(text: str) -> None:
    assert protect(text).has_words


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
    protected = protect(text, markdown=True)
    assert protected.restore(protected.text) == text
    # Linear time is a fifth of a second; anything else takes minutes.
    assert time.process_time() - began < 10


# Beginnings of each syntax of other tools, complete and truncated.
BEGINNINGS = [
    "$", "$$", "$$a", "$a=", "$a= ", "$a b c ", "$ab cde fgh ", "$`", "$`a", "\\(", "\\(a", "\\(a=", "\\[",
    "\\[a=", "\\[ ab cde fgh", "\\begin{a}", "\\begin{a}\\end{b}", "\\end{a}", "{/*", "{/* *", "{# ", "{#", "{#a ",
    "<xliff:g>", "<xliff:g a", "<v a", "<v ", "<00:00:01.00", "%a", "%a%", "%<a", "%<a>", "%#@a", "%1$#@", "%'*",
    "%[1]", "{\\", "{\\a ", "{a(", "{ a(b", '{ "', '{ "\\', "{ '", "{a:b ", "{a,1:", "{a", "${a ", "#{", "%{",
    "%{ ", "{a ->", "{ $a -> ", "{ A(", "$t(", "$t((", "$t(a(", "$a$", "$a", "@:", "@:{", "@:(", "@:a.", "@.a:",
    ":a", " :a", ":a:", ":+1", "[1,", "]1,", "[1,2", "__a", "__a.", ".__a", "\\(a.", "[[", "[[a", "[[a|", "[[a|b",
    "]]", "{:", "{: a", "{#a", "{.a b", "{a=", "%%", "%%a", "%% a%", "#a", " #a", " ^a", "^a ", "++a", "++a+",
    " ++a", "{++", "{++a", "{--a ", "{==", "{>>", "{>> <<", "{-", "{+", "++}", "{~~ ~", "$\\", "$ \n", "$a\n",
    "$$\n", "$$=\n", "\n ", "$^ ", "$a  ", "$$ \t", "a$", ":", "::", "_", "%-", "% ", "%0", "{-", "{ ", "{  ",
    "<v.", "(:a", "[:", "%5.", "\\", "\\\\(", "\\]", "\\)",
]  # fmt: skip


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize("unit", BEGINNINGS)
def test_each_syntax_takes_linear_time(unit: str, markdown: bool) -> None:
    seconds = [_seconds(unit * (size // len(unit)), markdown) for size in (5_000, 20_000)]
    # Four times the text takes four times as long in linear time, sixteen times in quadratic time.
    assert seconds[1] < 10 * max(seconds[0], 0.02)


def _seconds(text: str, markdown: bool) -> float:
    began = time.process_time()
    protect(text, markdown=markdown)
    return time.process_time() - began


SENTENCES = (DATA / "placeholders.txt").read_text().splitlines()
_WORDS = re.compile(r"[^\W\d_]+")


def test_sentences_with_placeholders_of_all_kinds_survive_a_model_that_changes_every_word() -> None:
    assert len(set(SENTENCES)) == 500
    for sentence in SENTENCES:
        protected = protect(sentence)
        assert protected.hidden and protected.has_words, sentence
        answer = protected.restore(_WORDS.sub("palabra", protected.text))
        assert all(placeholder in answer for placeholder in protected.hidden), sentence
        # Only the text between the placeholders has changed.
        literal = "|".join(map(re.escape, sorted(set(protected.hidden), key=len, reverse=True)))
        assert re.findall(literal, answer) == re.findall(literal, sentence) == list(protected.hidden), sentence
        assert set(_WORDS.findall(re.sub(literal, "", answer))) == {"palabra"}, sentence
