"""Texts and files in chunks: everything but prose stays byte for byte, and all prose is sent to the model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translation import documents
from app.translation.documents.errors import Unreadable
from app.translation.tests.unit.growth import assert_linear

pytestmark = pytest.mark.slow

PIECES = [
    "A line of words.", "word", " ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", "\r", "- ", "1. ", "> ", "# ", "|",
    "## x ##", "| a | b |", "|---|---|", "```", "~~~", "---", "===", "***", "[x]: http://a.b", "<div>", "</div>",
    "<!--", "-->", "....... 12", "\\|", "[ ] ", "$$", "\0", "\u2028", "é", "漢字。", "😀", "*", "+++", "`", "\x0b",
    "\x1c", "\ufeff", "[^1]: ", ":", "'", '"', '!!! note "x"', "??? a", '=== "a"', ":::tip ", "::: a {b}", ":::",
    "\\begin{a}", "\\end{a}", "\\[", "\\]", "import 'a'", "*[a]: ", "{: .a}", "%%", ";;;", "title: a", "a = 1",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25).map("".join)
BUDGETS = st.integers(3, 60)

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=40).filter(str.strip)
CUES = st.lists(st.tuples(st.integers(0, 10**6), st.lists(LINES, max_size=3)), min_size=1, max_size=8)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, (list, dict)))


def texts(text: str, format: str, budget: int = 500) -> list[str]:
    return [chunk.text for chunk in documents.read(text, format, budget=budget).chunks]


def translated(text: str, format: str, **words: str) -> str:
    """Return the text with its chunks in upper case, or with the given translations."""
    document = documents.read(text, format, budget=500)
    return document.join([words.get(chunk.text, chunk.text.upper()) for chunk in document.chunks])


def assert_whole(text: str, format: str, budget: int = 500) -> None:
    document = documents.read(text, format, budget=budget)
    assert document.join([chunk.text for chunk in document.chunks]) == text
    for chunk in document.chunks:
        assert chunk.text.strip() == chunk.text != ""
        assert "\r" not in chunk.text


@given(TEXTS, st.sampled_from(["text", "markdown"]), BUDGETS)
def test_untranslated_pieces_are_the_text_byte_for_byte(text: str, format: str, budget: int) -> None:
    assert_whole(text, format, budget)


@given(CUES, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff"]), BUDGETS)
def test_untranslated_subtitles_are_the_file_byte_for_byte(
    cues: list[tuple[int, list[str]]], end: str, mark: str, budget: int
) -> None:
    heads = [f"{number}{end}00:00:01,000 --> 00:00:02,000{end}" for number, _ in cues]
    text = mark + end.join(
        head + "".join(line + end for line in words) for head, (_, words) in zip(heads, cues, strict=True)
    )
    assert_whole(text, "srt", budget)


@given(VALUES, st.booleans(), st.sampled_from([None, 2, "\t"]), BUDGETS)
def test_untranslated_json_is_the_file_byte_for_byte(
    value: object, ascii: bool, indent: int | str, budget: int
) -> None:
    assert_whole(json.dumps(value, ensure_ascii=ascii, indent=indent), "json", budget)


@given(VALUES)
def test_only_strings_of_json_change(value: object) -> None:
    def changed(part: object) -> object:
        if isinstance(part, str):
            return part.replace("a", "b")
        if isinstance(part, list):
            return [changed(inner) for inner in part]
        return {key: changed(inner) for key, inner in part.items()} if isinstance(part, dict) else part

    document = documents.read(json.dumps(value), "json", budget=500)
    assert json.loads(document.join([chunk.text.replace("a", "b") for chunk in document.chunks])) == changed(value)


# --- text


def test_a_wrapped_paragraph_is_one_piece_and_its_indentation_stays() -> None:
    text = "  First words\n  go on here\n\tand there.\n\n    Next.\n"
    assert texts(text, "text") == ["First words\ngo on here\nand there.", "Next."]
    assert translated(text, "text") == "  FIRST WORDS\n  GO ON HERE\n\tAND THERE.\n\n    NEXT.\n"


def test_a_translation_with_more_or_fewer_lines_keeps_the_indentation() -> None:
    text = "  One\n  two."
    assert translated(text, "text", **{"One\ntwo.": "Uno dos."}) == "  Uno dos."
    assert translated(text, "text", **{"One\ntwo.": "Uno\n\ndos\ntres."}) == "  Uno\n  dos\n  tres."
    assert translated("  One.", "text", **{"One.": "Uno.\nDos."}) == "  Uno. Dos."


def test_line_ends_of_windows_stay() -> None:
    text = "One\r\ntwo.\r\n\r\nThree.\r\n"
    assert texts(text, "text") == ["One\ntwo.", "Three."]
    assert translated(text, "text") == "ONE\r\nTWO.\r\n\r\nTHREE.\r\n"


@pytest.mark.parametrize("fence", ["```", "~~~", "`````"])
def test_fenced_code_is_never_sent(fence: str) -> None:
    text = f"Before.\n{fence}python\nprint('hello')\n\nx\n{fence}\nAfter."
    assert texts(text, "text") == ["Before.", "After."]
    assert texts(f"Before.\n{fence}\nThe fence has no end.", "text")[-1].endswith("The fence has no end.")


def test_cells_are_translated_one_by_one_and_separators_stay() -> None:
    text = "| Name  | Colour |\n|:------|-------:|\n| apple |  red   |\n\nName\tColour\napple\tred\n"
    assert texts(text, "text") == ["Name", "Colour", "apple", "red"] * 2
    assert translated(text, "text") == text.upper()


@pytest.mark.parametrize(
    "text",
    ["Chapter one ........... 12", "Chapter one . . . . . . 12", "Chapter one\n-----------", "Chapter one      12"],
)
def test_dots_and_rules_never_reach_the_model(text: str) -> None:
    assert texts(text, "text") == ["Chapter one"]
    assert translated(text, "text") == text.replace("Chapter one", "CHAPTER ONE")


@pytest.mark.parametrize("format", ["text", "markdown"])
@pytest.mark.parametrize(
    "line",
    ["Run `cat a | sort b` now.", "Hello {{ name | title }}.", 'A <b   title="A dog">dog</b>.', "See [a | b](c.md)."],
)
def test_separators_within_placeholders_do_not_count(format: str, line: str) -> None:
    assert [chunk.text for chunk in documents.read(line, format, budget=500).chunks] == [line]


def test_text_without_letters_is_never_sent() -> None:
    assert texts("12 + 5 = 17\n\n* * *\n\n______\n\nYes.", "text") == ["Yes."]


# --- Markdown

MARKDOWN = """\
---
title: The guide
---
# The *guide* ##

Setext heading
==============

A paragraph that
goes on.

> A quotation that
> goes on.
>
> 1. First
> 2. Second,
>    with more

- [ ] A task
- Item

      indented code

| Name | Colour |
|------|:------:|
| an apple | red \\| green |

```sh
echo hello
```

<div>
Raw HTML.
</div>

[ref]: https://example.com "A title"

***
$$
x = y
$$
"""


def test_prose_of_markdown_is_sent_without_its_markers() -> None:
    assert texts(MARKDOWN, "markdown") == [
        "The *guide*", "Setext heading", "A paragraph that\ngoes on.", "A quotation that\ngoes on.", "First",
        "Second,\nwith more", "A task", "Item", "Name", "Colour", "an apple", "red \\| green",
    ]  # fmt: skip


def test_everything_else_in_markdown_stays() -> None:
    result = translated(MARKDOWN, "markdown")
    for line in (
        "title: The guide", "# THE *GUIDE* ##", "SETEXT HEADING", "==============", "> A QUOTATION THAT", "> GOES ON.",
        ">", "> 1. FIRST", "> 2. SECOND,", ">    WITH MORE", "- [ ] A TASK", "      indented code", "|------|:------:|",
        "| AN APPLE | RED \\| GREEN |", "echo hello", "Raw HTML.", '[ref]: https://example.com "A title"', "x = y",
    ):  # fmt: skip
        assert line in result.split("\n"), line


@pytest.mark.parametrize(
    "text",
    [
        "---\n\n# The house\n\nThe cat is old.\n\n---\n\nThe dog is big.\n",
        "---\n# The house\n\nThe cat is old.\n\n---\nThe dog is big.\n",
        "---\nThe cat is old.\n\n---\n\nThe dog is big.\n",
        "+++\nThe cat is old.\n\n+++\n\nThe dog is big.\n",
    ],
)
def test_a_thematic_break_begins_no_front_matter(text: str) -> None:
    assert [part for part in texts(text, "markdown") if "The cat is old." in part]


@pytest.mark.parametrize(
    "front",
    [
        "---\ntitle: The house\ntags:\n  - a\n- b\n# note\n\ntext: >-\n  More words.\n---\n",
        '---\n"a b": c\n...\n',
        "+++\ntitle = 'The house'\n[extra]\na = 1\n+++\n",
        ';;;\n{\n  "title": "The house"\n}\n;;;\n',
        "---\n# a remark\ntitle: The house\n---\n",
    ],
)
def test_front_matter_stays_and_is_counted(front: str) -> None:
    document = documents.read(front + "The dog is big.", "markdown", budget=500)
    assert [chunk.text for chunk in document.chunks] == ["The dog is big."]
    assert document.untranslated.public() == [{"why": "front matter", "parts": 1, "characters": len(front)}]


@pytest.mark.parametrize(
    "formula",
    [
        "$$\na = b\n= c \\text{ of the house}\n- d\n$$",
        "\\begin{align}\na &= b\\\\\n\n\\text{the house} &= c\n\\end{align}",
        "\\[\nwidth = height\n\\]",
        "$$width = height$$",
        "$$\nwidth\n= height$$",
    ],
)
def test_a_formula_of_several_lines_stays(formula: str) -> None:
    document = documents.read(f"The house is\n\n{formula}\n\nin all.", "markdown", budget=500)
    assert [chunk.text for chunk in document.chunks] == ["The house is", "in all."]
    assert [count["why"] for count in document.untranslated.public()] == ["maths"]


CONTAINERS = """\
!!! note "The house"

    The cat is old.

    ??? tip
        The dog
        is big.

            code here

    ```
    more code
    ```

    - An item

=== "Tab"

    # A heading

    code?

After.

    code at last
"""


def test_contents_of_admonitions_and_tabs_are_prose_and_code_in_them_is_none() -> None:
    text = CONTAINERS
    assert texts(text, "markdown") == [
        "The house", "The cat is old.", "The dog\nis big.", "An item", "Tab", "A heading", "code?", "After.",
    ]  # fmt: skip
    result = translated(text, "markdown")
    assert "    THE CAT IS OLD.\n\n    ??? tip\n        THE DOG\n        IS BIG.\n\n            code here\n" in result


def test_a_callout_in_a_quotation_keeps_its_marker() -> None:
    text = "> [!NOTE]\n> The cat\n> is old.\n\n> [!tip]- The *house*\n> The dog.\n"
    assert translated(text, "markdown") == "> [!NOTE]\n> THE CAT\n> IS OLD.\n\n> [!tip]- THE *HOUSE*\n> THE DOG.\n"


def test_untranslated_parts_of_markdown_are_counted_by_reason() -> None:
    document = documents.read(MARKDOWN, "markdown", budget=500)
    assert {count["why"]: count["parts"] for count in document.untranslated.public()} == {
        "front matter": 1, "code": 2, "html": 1, "definition": 1, "maths": 1,
    }  # fmt: skip


def test_the_parser_of_markdown_is_imported_for_markdown_only() -> None:
    code = (
        "import sys; from app.translation import documents\n"
        "for format in 'text', 'srt', 'json': documents.read('[]' if format == 'json' else {srt!r}, format, budget=9)\n"
        "assert 'markdown_it' not in sys.modules\n"
        "documents.read('x', 'markdown', budget=9)\n"
        "assert 'markdown_it' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code.format(srt=SRT)], check=True)


# --- SRT

SRT = (
    "\ufeff1\r\n00:00:01,000 --> 00:00:02,500 X1:40\r\n<i>Good morning,</i>\r\n- Hello.\r\n\r\n"
    "2\r\n00:00:03,000 --> 00:00:04,000\r\n\r\n3\r\n00:00:05.000 --> 00:00:06.000\r\n1984"
)


def test_a_cue_is_one_piece_and_its_head_stays() -> None:
    assert texts(SRT, "srt") == ["<i>Good morning,</i>\n- Hello."]
    assert translated(SRT, "srt") == SRT.replace("<i>Good morning,</i>", "<I>GOOD MORNING,</I>").replace(
        "- Hello", "- HELLO"
    )


def test_a_line_of_times_begins_a_cue_without_a_blank_line_before_it() -> None:
    text = (
        "1\n00:00:01,000 --> 00:00:02,000\nThe cat.\n2\n00:00:03,000 --> 00:00:04,000\nIn\n1984\n"
        "00:00:05,000 --> 00:00:06,000\nThe dog.\n42\nis big.\n"
    )
    assert texts(text, "srt") == ["The cat.", "In", "The dog.\n42\nis big."]
    assert_whole(text, "srt")


def test_a_translated_cue_has_no_blank_line() -> None:
    source = "<i>Good morning,</i>\n- Hello."
    assert "BUENOS\r\nDÍAS\r\n\r\n2\r\n" in translated(SRT, "srt", **{source: "BUENOS\n\n \nDÍAS\n\n"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Hello.", "line 1 of the SRT is 'Hello.': expected a cue, which is a number, then a line with its times"),
        ("1\n00:00:01,000 --> 00:00:02,000\nHi.\n\n2\n00:00:03 -> 00:00:04\nHo.", "line 6 of the SRT is '00:00:03 ->"),
        ("1\n00:00:01,000 --> 00:00:02,000\nHi.\n\nWithout times.", "line 5 of the SRT is 'Without times.'"),
        ("1\n", "line 2 of the SRT is blank"),
        ("\n\n", "the SRT has no subtitles"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nHi.", "line 1 of the SRT is 'WEBVTT'"),
    ],
)
def test_invalid_srt_is_refused_with_the_line(text: str, sentence: str) -> None:
    with pytest.raises(Unreadable) as error:
        documents.read(text, "srt", budget=500)
    assert str(error.value).startswith(sentence)


# --- JSON


def test_only_strings_are_sent_and_only_what_must_be_is_escaped() -> None:
    text = '{"key": "A \\u00e9 \\"word\\"",\n "key" : ["two\\nlines", 12.50, null, "", "42"], "k\\"": {"x":"\\/ y"}}'
    assert texts(text, "json") == ['A é "word"', "two\nlines", "/ y"]
    result = translated(text, "json", **{"two\nlines": 'dos "ñ\\'})
    assert result == (
        '{"key": "A É \\"WORD\\"",\n "key" : ["dos \\"ñ\\\\", 12.50, null, "", "42"], "k\\"": {"x":"/ Y"}}'
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": "b",\n "c" "d"}', "line 2, column 6 of the JSON is invalid: expecting ':' delimiter"),
        ("[" * 101, "line 1, column 101 of the JSON is nested deeper than the maximum of 100 levels"),
        ("[" * 1_000_000, "line 1, column 101 of the JSON is nested deeper than the maximum of 100 levels"),
        ('"text"', "the JSON is a single value"),
        ("[NaN]", "the JSON contains NaN"),
        ('["a\nb"]', "line 1, column 4 of the JSON is invalid: invalid control character"),
        ("[] []", "line 1, column 4 of the JSON is invalid: extra data"),
    ],
)
def test_invalid_json_is_refused_with_the_place(text: str, sentence: str) -> None:
    with pytest.raises(Unreadable) as error:
        documents.read(text, "json", budget=500)
    assert str(error.value).startswith(sentence)


def test_huge_json_numbers_are_kept() -> None:
    assert texts("[" + "9" * 5000 + ', "\\ud83d\\ude00 found"]', "json") == ["😀 found"]


def test_an_unpaired_surrogate_is_kept_and_reported_and_the_words_around_it_are_sent() -> None:
    text = '{"a": "fine",\n "b": "The cat \\ud83d is\\ude00\\ud83d", "c": "\\ud83d"}'
    document = documents.read(text, "json", budget=500)
    assert [chunk.text for chunk in document.chunks] == ["fine", "The cat", "is"]
    assert document.join(["x", "El gato", "es"]) == text.replace("fine", "x").replace("The cat", "El gato").replace(
        "is", "es"
    )
    assert [(flaw.part, flaw.kind, flaw.source) for flaw in document.flaws] == [
        (2, "unicode", "The cat \\ud83d is\\ude00\\ud83d"), (4, "unicode", "\\ud83d"),
    ]  # fmt: skip
    assert document.flaws[0].detail == (
        "the string at line 2, column 7 of the JSON has an unpaired surrogate, which is not a character"
    ).replace(" of the JSON", "")


# --- size

HEAD = "1\n00:00:01,000 --> 00:00:02,000\n"
SIZE = 30_000
NASTY = [
    ("text", "word "), ("text", "word\n"), ("text", "```x\n"), ("text", "~"), ("text", "|"), ("text", "a\t"),
    ("text", ". "), ("text", "a   "), ("text", "\r"),
    ("markdown", "A line of words that is long enough for a book.\n"), ("markdown", ">"), ("markdown", "[a]: "),
    ("markdown", "| word | word word word word |\n"), ("markdown", "```x\n"), ("markdown", "<a "),
    ("markdown", "\\begin{a}\n"), ("markdown", "$$\nx\n"), ("markdown", '!!! note "a"\n\n    '),
    ("markdown", "a\n::: a\n"),
    ("markdown", "---\na: b\n"), ("markdown", "\\[\n"), ("markdown", "import a, "), ("markdown", "export const a"),
    ("markdown", "$x\n"), ("markdown", "[!a] "), ("markdown", "{: a"), ("markdown", "::a{"), ("markdown", "\\end{a} "),
    ("markdown", "word *word* [word](word) word.\n\n"), ("srt", HEAD + "Two\nlines.\n\n"), ("srt", HEAD + "\n"),
]  # fmt: skip


@pytest.mark.parametrize(("format", "unit"), NASTY)
def test_long_texts_take_linear_time(format: str, unit: str) -> None:
    assert_text_is_linear(lambda size: unit * (size // len(unit)), format)


@pytest.mark.parametrize(
    ("before", "unit", "after"), [('["', "word \\n", '"]'), ("[", '"a word",', '""]'), ('["', '\\"', 'a"]')]
)
def test_long_json_takes_linear_time(before: str, unit: str, after: str) -> None:
    assert_text_is_linear(lambda size: before + unit * (size // len(unit)) + after, "json")


def assert_text_is_linear(text: Callable[[int], str], format: str) -> None:
    """Read and join a text of some ten thousand characters and one of four times as many."""
    small, large = text(SIZE), text(4 * SIZE)
    assert_linear(lambda: assert_same(small, format), lambda: assert_same(large, format))


def assert_same(text: str, format: str) -> None:
    document = documents.read(text, format, budget=500)
    assert document.join([chunk.text for chunk in document.chunks]) == text
