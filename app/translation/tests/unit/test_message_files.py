"""WebVTT, .po, .properties and .strings: only words change, everything else stays byte for byte."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translation import documents
from app.translation.documents.errors import Unreadable
from app.translation.tests.unit.growth import assert_linear

ENDS = st.sampled_from(["\n", "\r\n"])
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters='\r\n"\\', exclude_categories=["Zl", "Zp"]), max_size=30
)
ESCAPED = st.lists(WORDS | st.sampled_from(["\\n", '\\"', "\\\\", "\\t", "  ", "{0}", "\\101"]), max_size=6).map(
    "".join
)
KEYS = st.from_regex(r"[a-z][a-z.]{0,9}", fullmatch=True)


def texts(text: str, format: str, budget: int = 500) -> list[str]:
    return [chunk.text for chunk in documents.read(text, format, budget=budget).chunks]


def translated(text: str, format: str, **words: str) -> str:
    document = documents.read(text, format, budget=500)
    return document.join([words.get(chunk.text, chunk.text.upper()) for chunk in document.chunks])


def assert_whole(text: str, format: str, budget: int = 500) -> None:
    document = documents.read(text, format, budget=budget)
    assert document.join([chunk.text for chunk in document.chunks]) == text


def counted(text: str, format: str) -> dict[str, int]:
    return {count["why"]: count["parts"] for count in documents.read(text, format, budget=500).untranslated.public()}


# --- WebVTT

VTT = """\
WEBVTT - The film

STYLE
::cue { color: red }

NOTE
A remark of the author

intro
00:01.000 --> 00:02.500 align:start line:0
<v Roger Bingham>Good morning,
- Hello.

01:00:03.000 --> 01:00:04.000
The dog.
01:00:05.000 --> 01:00:06.000
The cat.

NOTE The end
"""


def test_cues_of_webvtt_are_pieces_and_the_rest_stays() -> None:
    assert texts(VTT, "vtt") == ["<v Roger Bingham>Good morning,\n- Hello.", "The dog.", "The cat."]
    assert translated(VTT, "vtt", **{"The dog.": "El\n\nperro."}) == VTT.replace(
        "<v Roger Bingham>Good morning,\n- Hello.", "<V ROGER BINGHAM>GOOD MORNING,\n- HELLO."
    ).replace("The dog.", "El perro.").replace("The cat.", "THE CAT.")
    assert counted(VTT, "vtt") == {"comment": 2, "code": 1}


def test_a_cue_that_follows_the_header_at_once_is_translated() -> None:
    assert texts("WEBVTT\n00:01.000 --> 00:02.000\nThe dog.\n", "vtt") == ["The dog."]


@given(st.lists(st.tuples(st.booleans(), st.lists(WORDS.filter(str.strip), max_size=3)), max_size=6), ENDS)
def test_untranslated_webvtt_is_the_file_byte_for_byte(cues: list[tuple[bool, list[str]]], end: str) -> None:
    blocks = [
        [*(["name"] if named else []), "00:01.000 --> 00:02.000", *(line for line in lines if "-->" not in line)]
        for named, lines in cues
    ]
    assert_whole(end.join(["\ufeffWEBVTT", "", *(line for block in blocks for line in [*block, ""])]), "vtt", 30)


# --- gettext

PO = r"""# Translations of a program
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=3; plural=n;\n"

#: house.py:12
#, python-format
msgctxt "a context"
msgid "The %(name)s house"
msgstr ""

msgid "Open"
msgstr "Abrir"

msgid ""
"The cat\n"
"is \"old\"\n"
msgstr ""

msgid "One house"
msgid_plural "%d houses"
msgstr[0] ""
msgstr[1] ""
msgstr[2] ""

#~ msgid "Gone"
#~ msgstr "Fuera"
"""


def test_messages_of_gettext_without_a_translation_get_one() -> None:
    assert texts(PO, "po") == ["The %(name)s house", 'The cat\nis "old"', "One house", "%d houses", "%d houses"]
    result = translated(PO, "po", **{'The cat\nis "old"': 'El gato\nes "viejo"'})
    assert result == PO.replace('house"\nmsgstr ""', 'house"\nmsgstr "THE %(NAME)S HOUSE"').replace(
        'old\\"\\n"\nmsgstr ""', 'old\\"\\n"\nmsgstr ""\n"El gato\\n"\n"es \\"viejo\\"\\n"'
    ).replace('[0] ""', '[0] "ONE HOUSE"').replace('[1] ""', '[1] "%D HOUSES"').replace('[2] ""', '[2] "%D HOUSES"')
    assert counted(PO, "po") == {"comment": 5, "translated": 1}


def test_a_language_with_one_plural_form_gets_the_plural() -> None:
    head = 'msgid ""\nmsgstr "Plural-Forms: nplurals=1; plural=0;\\n"\n\n'
    assert texts(head + 'msgid "One house"\nmsgid_plural "%d houses"\nmsgstr[0] ""\n', "po") == ["%d houses"]


def test_untranslated_parts_of_a_long_message_are_copied() -> None:
    text = 'msgid "The first \\"one\\".\\n\\nThe second one."\nmsgstr ""\n'
    document = documents.read(text, "po", budget=6)
    assert [chunk.text for chunk in document.chunks] == ['The first "one".', "The second one."]
    assert document.join(["El primero.", "The second one."]) == text.replace(
        'msgstr ""', 'msgstr "El primero.\\n\\nThe second one."'
    )


@given(st.lists(st.tuples(ESCAPED, ESCAPED | st.just(""), st.booleans()), max_size=6), ENDS)
def test_untranslated_messages_of_gettext_are_the_file_byte_for_byte(
    messages: list[tuple[str, str, bool]], end: str
) -> None:
    lines: list[str] = []
    for source, target, several in messages:
        lines += ["#: a.py:1", f'msgid "{source}"', *([f'"{source}"'] if several else []), f'msgstr "{target}"', ""]
    assert_whole(end.join(lines), "po")


# --- Java

PROPERTIES = r"""# A remark
! Another one
title=The house
 key\ one : The caf\u00e9 \
    is old
empty=
long.key   {0} houses\nand ''more''
path=C:\\house
"""


def test_values_of_properties_are_sent_and_written_with_escapes() -> None:
    assert texts(PROPERTIES, "properties") == [
        "The house", "The café is old", "{0} houses\nand ''more''", "C:\\house",
    ]  # fmt: skip
    result = translated(PROPERTIES, "properties", **{"The house": "La señal 😀", "{0} houses\nand ''more''": "a\nb"})
    assert "title=La se\\u00f1al \\ud83d\\ude00\n" in result
    assert " key\\ one : THE CAF\\u00c9 IS OLD\n" in result
    assert "long.key   a\\nb\npath=C:\\\\HOUSE\n" in result
    assert translated("a=é\nb=x\n", "properties", x="ñ") == "a=É\nb=ñ\n"
    assert counted(PROPERTIES, "properties") == {"comment": 2}


@given(st.lists(st.tuples(KEYS, st.sampled_from(["=", ": ", " ", " \\\n  "]), ESCAPED), max_size=6), ENDS)
def test_untranslated_properties_are_the_file_byte_for_byte(pairs: list[tuple[str, str, str]], end: str) -> None:
    assert_whole(end.join(f"{key}{sign}{value}" for key, sign, value in pairs), "properties", 30)


@given(st.text(st.sampled_from("a =:\\\n\r#! u0é"), max_size=60))
def test_any_text_is_properties_or_names_the_line(text: str) -> None:
    try:
        assert_whole(text, "properties", 10)
    except Unreadable as error:
        assert "of the properties has" in str(error)


# --- Apple

STRINGS = r"""/* A remark; with "quotes" */
"key" = "The \"house\"\nis %@";
// Another = "one"
bare.key = "caf\U00E9";
"""


def test_values_of_strings_are_sent_and_written_with_escapes() -> None:
    assert texts(STRINGS, "strings") == ['The "house"\nis %@', "café"]
    assert translated(STRINGS, "strings", café='una\n"ñ"') == STRINGS.replace(
        r"The \"house\"\nis %@", r"THE \"HOUSE\"\nIS %@"
    ).replace(r"caf\U00E9", r"una\n\"ñ\"")
    assert counted(STRINGS, "strings") == {"comment": 2}


@given(st.lists(st.tuples(KEYS, ESCAPED), max_size=6), ENDS)
def test_untranslated_strings_are_the_file_byte_for_byte(pairs: list[tuple[str, str]], end: str) -> None:
    assert_whole(end.join(f'/* x */ "{key}" = "{value}";' for key, value in pairs), "strings", 30)


# --- what is wrong, and size


@pytest.mark.parametrize(
    ("format", "text", "sentence"),
    [
        ("vtt", "1\n00:01.000 --> 00:02.000\nHi.", "line 1 of the WebVTT does not begin with WEBVTT"),
        ("vtt", "WEBVTT\n\nname\nHello.\n", "line 4 of the WebVTT is 'Hello.': expected a cue, which is an optional"),
        ("vtt", "WEBVTT\n\n00:01,000 --> 00:02,000\nHi.", "line 3 of the WebVTT is '00:01,000 --> 00:02,000'"),
        ("po", 'msgid "a"\nmsgstr "b\n', "line 2 of the PO file is 'msgstr \"b'"),
        (
            "po",
            'msgid "a"\nmsgstr "b"\nmsgstr "c"\n',
            "line 3 of the PO file repeats a msgstr of the message above",
        ),
        ("po", "<html>", "line 1 of the PO file is '<html>'"),
        (
            "po",
            'msgid ""\nmsgstr "Content-Type: text/plain; charset=ISO-8859-1\\n"\n',
            "the header of the PO file says charset=ISO-8859-1",
        ),
        ("properties", "a=b\nc=\\u12", "line 2 of the properties has \\u without four hexadecimal digits"),
        ("properties", "a=\\ud83d x", "line 1 of the properties has an unpaired surrogate"),
        ("strings", '"a" = "b"\n"c" = "d";', 'line 2 of the strings has \'"c" = "d";\', where a ; was expected'),
        ("strings", '"a" = "b', "line 1 of the strings has '\"b', where a value was expected"),
        ("strings", '"a" =', "the strings end where a value was expected"),
    ],
)
def test_an_invalid_file_is_refused_with_the_line(format: str, text: str, sentence: str) -> None:
    with pytest.raises(Unreadable) as error:
        documents.read(text, format, budget=500)
    assert str(error.value).startswith(sentence)


NASTY = [
    ("vtt", "WEBVTT\n\n", "00:01.000 --> 00:02.000\nTwo words.\n\n"),
    ("vtt", "WEBVTT\n\n", "00:01.000 --> 00:02.000\n"),
    ("vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n", "word\n"), ("vtt", "WEBVTT\n\n", "NOTE\n"), ("vtt", "WEBVTT", "\n"),
    ("po", "", 'msgid "a word"\nmsgstr ""\n'), ("po", 'msgid "a"\n', '"a word"\n'), ("po", "", '#~ "\n'),
    ("po", 'msgid "a"\nmsgstr ""\n', '""\n'), ("po", 'msgid "a', "\\n"), ("po", "", " \n"),
    ("properties", "", "a=b\n"), ("properties", "a=", "b\\\n "), ("properties", "", "a"),
    ("properties", "a=", "\\u00e9"),
    ("properties", "", " "), ("properties", "", "="), ("properties", "", "\\"), ("properties", "a=", "é"),
    ("strings", "", '"a" = "b";\n'), ("strings", '"a" = "', "b\\n"), ("strings", "", "/* a */"), ("strings", "", "/*"),
    ("strings", "/*", "*"), ("strings", "", '"\\'), ("strings", '"a" = "', "é"),
]  # fmt: skip


@pytest.mark.parametrize(("format", "head", "unit"), NASTY)
def test_long_files_take_linear_time(format: str, head: str, unit: str) -> None:
    small, large = (head + unit * (size // len(unit)) for size in (25_000, 100_000))
    assert_linear(lambda: _taken(small, format), lambda: _taken(large, format))


def _taken(text: str, format: str) -> None:
    with suppress(Unreadable):
        document = documents.read(text, format, budget=500)
        document.join([chunk.text for chunk in document.chunks])
