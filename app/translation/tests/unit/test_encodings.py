"""Other encodings are detected, and a text in UTF-8 is never mistaken for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translation.http import encodings
from app.translation.http.files import decode
from app.translation.request import NotAllowed

ENGLISH = "I have two cats.\nThey are old.\n"
CHINESE = "我有两只猫。\n它们很老，也很大。\n"  # noqa: RUF001
JAPANESE = "私は二匹の猫を飼っています。\nとても大きいです。\n"
KOREAN = "나는 고양이 두 마리가 있습니다.\n"
RUSSIAN = "У меня есть две кошки.\n"  # noqa: RUF001


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, JAPANESE, KOREAN, RUSSIAN])
@pytest.mark.parametrize("name", ["UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"])
def test_wide_encodings_without_a_mark_are_named(text: str, name: str) -> None:
    with pytest.raises(
        NotAllowed, match=f"^the file is in {name} without a byte order mark: save it as text in UTF-8$"
    ):
        decode(text.encode(name))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", [ENGLISH, CHINESE, JAPANESE, KOREAN, RUSSIAN])
def test_a_byte_order_mark_is_enough(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)).removeprefix("\ufeff") == text


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (JAPANESE.encode("iso2022_jp"), "is in ISO-2022-JP"),
        (KOREAN.encode("iso2022_kr"), "is in ISO-2022-KR"),
        (CHINESE.encode("hz"), "is in HZ-GB-2312"),
        (b"+/v8-Hello", "is in UTF-7"),
        (b"%PDF-1.7 x", "is a PDF"),
        (b"PK\x03\x04abc", "is a ZIP archive"),
        (b"{\\rtf1 Hello}", "is an RTF document"),
        (b"\x1f\x8b\x08", "is compressed with gzip"),
        (JAPANESE.encode("shift_jis"), "it may be in Shift_JIS"),
        (JAPANESE.encode("euc-jp"), "it may be in EUC-JP"),
        (RUSSIAN.encode("cp1251"), "it may be in Windows-1251"),
        (RUSSIAN.encode("koi8-r"), "it may be in KOI8-R"),
        ("El niño comió.".encode("cp1252"), "it may be in Windows-1252"),
    ],
)
def test_other_encodings_and_kinds_are_named(data: bytes, name: str) -> None:
    with pytest.raises(NotAllowed, match=name):
        decode(data)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1))
def test_a_text_in_utf_8_is_taken_for_nothing_else(text: str) -> None:
    data = ("A text: " + text).encode()
    assert encodings.unsupported(data) in (None, "in HZ-GB-2312")
    assert decode(data) == "A text: " + text or "~{" in text
