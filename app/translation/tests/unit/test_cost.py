"""The cost of a text before it is accepted: linear time, bounded memory, a bounded number of parts."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import pytest

from app.translation import documents
from app.translation.documents import po
from app.translation.documents.chunks import Builder
from app.translation.documents.errors import TooManyParts
from app.translation.documents.json import read as read_json
from app.translation.documents.lines import Fences, lines_of
from app.translation.documents.messages import Pieces, pieces
from app.translation.documents.survey import SAMPLE
from app.translation.tests.unit.growth import assert_linear

pytestmark = pytest.mark.slow

# Letters of one, two, three and four bytes, with a space of one or of three.
LETTERS = ["a", "é", "漢", "\U00010330"]
SPACES = [" ", "\u2003", ". ", "。"]
MAX_PARTS = 20_000


FORMATS: dict[str, Callable[[str], str]] = {
    "text": lambda body: body,
    "markdown": lambda body: body,
    "srt": lambda body: f"1\n00:00:01,000 --> 00:00:02,000\n{body}\n",
    "vtt": lambda body: f"WEBVTT\n\n00:01.000 --> 00:02.000\n{body}\n",
    "json": lambda body: json.dumps([body], ensure_ascii=False),
    "po": lambda body: f'msgid "{body}"\nmsgid_plural "{body}"\nmsgstr[0] ""\nmsgstr[1] ""\n',
    "properties": lambda body: f"a = {body}\n",
    "strings": lambda body: f'"a" = "{body}";\n',
}


def take(text: str, format: str) -> None:
    """Survey a text, and read it completely."""
    documents.words(text, format, max_parts=10**9)
    documents.read(text, format, budget=documents.CHUNK_TOKENS)


def assert_text_is_linear(text: Callable[[int], str], format: str, size: int) -> None:
    """Compare a text of `size` with one that is four times as large."""
    small, large = text(size), text(4 * size)
    assert_linear(lambda: take(small, format), lambda: take(large, format))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("letter", LETTERS)
def test_four_times_the_text_takes_four_times_as_long(letter: str, space: str, format: str) -> None:
    pattern = letter + space
    assert_text_is_linear(lambda size: FORMATS[format]((pattern * (size // 2))[:size].strip()), format, 8_000)


@pytest.mark.parametrize(
    ("format", "before", "unit", "after", "count"),
    [
        ("json", '["', "\\ud83d a", '"]', 2_000),
        ("properties", "a = b", "\\\n", "c", 40_000),
        ("properties", "a = ", "\\\n", "c", 40_000),
        ("properties", "", "a\n", "", 4_000),
        ("properties", "", "# a\n", "", 4_000),
        ("strings", "", '"a" = "b";\n', "", 2_000),
        ("strings", "", "/* a */", "", 4_000),
        ("po", 'msgid ""\n', '"a "\n', 'msgstr ""\n', 4_000),
        ("po", "", 'msgid "a"\nmsgstr ""\n', "", 2_000),
        ("vtt", "WEBVTT\n\n", "00:01.000 --> 00:02.000\na\n", "", 2_000),
        ("vtt", "WEBVTT\n\n", "a\n00:01.000 --> 00:02.000\n", "", 2_000),
    ],
)
def test_four_times_as_many_of_a_kind_take_four_times_as_long(
    format: str, before: str, unit: str, after: str, count: int
) -> None:
    assert_text_is_linear(lambda size: before + unit * size + after, format, count)


@pytest.mark.parametrize("between", [", ", ",\n"])
def test_unpaired_surrogates_are_found_in_one_pass(between: str) -> None:
    looked = 0

    class Text(str):
        __slots__ = ()

        def count(self, sign, start=0, end=None):  # type: ignore[no-untyped-def]
            nonlocal looked
            looked += end - start
            return super().count(sign, start, end)

        def rfind(self, sign, start=0, end=None):  # type: ignore[no-untyped-def]
            nonlocal looked
            looked += end - start
            return super().rfind(sign, start, end)

    text = Text("[" + between.join(['"\\ud83d a"'] * 200) + "]")
    build = Builder(documents.CHUNK_TOKENS)
    read_json(text, build)
    assert len(build.document().flaws) == 200
    assert looked <= 2 * len(text)


def test_a_long_message_with_many_forms_is_split_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    real = pieces

    def counted(value: str, build: Builder) -> Pieces:
        taken.append(value)
        return real(value, build)

    monkeypatch.setattr(po, "pieces", counted)
    forms = "".join(f'msgstr[{form}] ""\n' for form in range(100))
    documents.words(f'msgid "one day"\nmsgid_plural "{"day " * 2_000}"\n{forms}', "po", max_parts=MAX_PARTS)
    assert len(taken) == 2


def test_unclosed_fences_are_searched_once() -> None:
    looks = 0

    class Lines(list[str]):
        def __getitem__(self, at):  # type: ignore[no-untyped-def]
            nonlocal looks
            looks += 1
            return super().__getitem__(at)

    lines = Lines(lines_of("".join("`" * length + "x\n" for length in range(300, 3, -1)) + "a\n" * 3000))
    fences = Fences(lines)
    assert all(fences.end(at) == at for at in range(len(lines)))
    assert looks <= 3 * len(lines)


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("- ab\n" * 199_000, "markdown"),
        ("a\n\n" * 199_000, "markdown"),
        ("a\n\n" * 199_000, "text"),
        (json.dumps(["|a" * 499_490]), "json"),
        (json.dumps(["a"] * 199_000), "json"),
        ("1\n00:00:01,000 --> 00:00:02,000\na\n\n" * 25_000, "srt"),
        ("WEBVTT\n\n" + "00:01.000 --> 00:02.000\na\n\n" * 25_000, "vtt"),
        ('msgid "a"\nmsgstr ""\n' * 25_000, "po"),
        (f'msgid "{"|a" * 100_000}"\nmsgstr ""\n', "po"),
        ("a=a\n" * 25_000, "properties"),
        ("a=" + "|a" * 100_000, "properties"),
        ('"a"="a";\n' * 25_000, "strings"),
        (f'"a"="{"|a" * 100_000}";', "strings"),
    ],
)
def test_a_text_with_too_many_parts_is_refused_before_it_takes_memory(text: str, format: str) -> None:
    with pytest.raises(TooManyParts, match="20,000"):
        documents.words(text, format, max_parts=MAX_PARTS)


@pytest.mark.parametrize(
    ("format", "part"),
    [
        ("json", '"{}",\n'),
        ("srt", "1\n00:00:01,000 --> 00:00:02,000\n{}\n\n"),
        ("vtt", "00:01.000 --> 00:02.000\n{}\n\n"),
        ("po", 'msgid "{}"\nmsgstr ""\n'),
        ("properties", "a={}\n"),
        ("strings", '"a"="{}";\n'),
    ],
)
def test_a_survey_of_many_parts_keeps_a_small_sample(format: str, part: str) -> None:
    heads, tails = {"json": "[", "vtt": "WEBVTT\n\n"}, {"json": '""]'}
    body = "".join(part.format(f"Sentence number {number}, one of very many.") for number in range(15_000))
    text = heads.get(format, "") + body + tails.get(format, "")
    tracemalloc.start()
    words = documents.words(text, format, max_parts=MAX_PARTS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(words) <= 2 * SAMPLE
    assert "number 0," in words and any(f"number 14{n}" in words for n in range(10))
    assert peak < 12 * 2**20


def test_code_in_markdown_does_not_count_as_a_part() -> None:
    text = "```\n" + "- a | b\n" * 100 + "```\n\nOne.\nTwo.\n\n- Three\n- Four\n"
    documents.words(text, "markdown", max_parts=3)
    with pytest.raises(TooManyParts):
        documents.words(text, "markdown", max_parts=2)
