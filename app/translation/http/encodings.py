"""Detect encodings and file types by their bytes, so that no file is decoded as the wrong text."""

from __future__ import annotations

import codecs
import re

# UTF-32 comes first: its mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BEGINNINGS = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a ZIP archive, such as a Word or LibreOffice document",
    b"\xd0\xcf\x11\xe0": "an old Microsoft Office document",
    b"{\\rtf": "an RTF document",
    b"\x1f\x8b": "compressed with gzip",
    b"\x84\x31\x95\x33": "in GB 18030",
    b"+/v8": "in UTF-7",
    b"+/v9": "in UTF-7",
    b"+/v+": "in UTF-7",
    b"+/v/": "in UTF-7",
    b"\x0e\xfe\xff": "in SCSU",
    b"\xfb\xee\x28": "in BOCU-1",
    b"\xdd\x73\x66\x73": "in UTF-EBCDIC",
}
# Bytes that are inspected of a text without a byte order mark.
_MAX_INSPECTED = 65_536
# ASCII with escapes: valid UTF-8, but another encoding is meant.
_ISO_2022 = {
    rb"\x1b\$\)C": "in ISO-2022-KR",
    rb"\x1b\$\)[AG]|\x1b\$\*H": "in ISO-2022-CN",
    rb"\x1b(?:\$[@B]|\$\(D|\([IJ])": "in ISO-2022-JP",
}
_HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e]){2,200}~\}")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_CYRILLIC = re.compile("[\u0430-\u044f]{3,}")
# In UTF-16 and UTF-32, Latin letters have NULs in nearly all bytes of one position, and few in the others.
_MIN_NUL_SHARE, _MAX_NUL_SHARE = 0.4, 0.1
# A text in UTF-8 has hardly any control characters; Cyrillic text in UTF-16 has one in nearly each letter.
_MIN_CONTROL_SHARE = 0.25


def from_mark(data: bytes) -> str:
    """Return the encoding of the byte order mark, or UTF-8 if there is none."""
    return next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), "utf-8")


def unsupported(data: bytes) -> str | None:
    """Name what a file is if not a text in UTF-8 or one with a byte order mark; None if it cannot be detected."""
    if from_mark(data) != "utf-8":
        return None
    if found := next((name for beginning, name in _BEGINNINGS.items() if data.startswith(beginning)), None):
        return found
    head = data[:_MAX_INSPECTED]
    if found := _utf_16_or_32(head):
        return f"in {found} without a byte order mark"
    if b"\x1b" in head:
        return next((name for escape, name in _ISO_2022.items() if re.search(escape, head)), None)
    return "in HZ-GB-2312" if _HZ.search(head) else None


def _utf_16_or_32(head: bytes) -> str | None:
    """Detect UTF-16 and UTF-32 by the positions of NULs, and UTF-16 without NULs by its characters."""
    quarters = [head[place::4] for place in range(4)]
    nuls = [quarter.count(0) / max(1, len(quarter)) for quarter in quarters]
    if len(head) >= 4 and len(head) % 4 == 0 and nuls[3] == 1 and nuls[2] > _MIN_NUL_SHARE and nuls[0] < _MAX_NUL_SHARE:
        return "UTF-32LE"
    if len(head) >= 4 and len(head) % 4 == 0 and nuls[0] == 1 and nuls[1] > _MIN_NUL_SHARE and nuls[3] < _MAX_NUL_SHARE:
        return "UTF-32BE"
    even, odd = (head[place::2].count(0) / max(1, len(head) // 2) for place in range(2))
    if odd > _MIN_NUL_SHARE and even < _MAX_NUL_SHARE:
        return "UTF-16LE"
    if even > _MIN_NUL_SHARE and odd < _MAX_NUL_SHARE:
        return "UTF-16BE"
    return _utf_16_without_nuls(head)


def _utf_16_without_nuls(head: bytes) -> str | None:
    """Detect UTF-16 of a script without NULs: its bytes contain control characters, its text has white space."""
    controls = len(_CONTROL.findall(head))
    if not controls or (_is_utf_8(head) and controls < _MIN_CONTROL_SHARE * len(head)):
        return None
    even = head[: len(head) // 2 * 2]
    for encoding, space in (("utf-16-le", b"\n\x00"), ("utf-16-be", b"\x00\n")):
        try:
            text = even.decode(encoding, "ignore")
        except UnicodeDecodeError:
            continue
        known = sum(char.isalpha() or char.isspace() or char in "，。、！？「」…" for char in text)  # noqa: RUF001
        spaces = even.count(space) + sum(text.count(char) for char in " 。、，")  # noqa: RUF001
        if known > 0.8 * len(text) and spaces:
            return "UTF-16LE" if encoding == "utf-16-le" else "UTF-16BE"
    return None


def _is_utf_8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def guess(data: bytes) -> str:
    """Guess the encoding of a text that is not UTF-8."""
    head = data[:_MAX_INSPECTED]
    if _CONTROL.search(head):
        return "a binary format (it has control characters)"
    for encoding, name in (
        ("euc-jp", "EUC-JP"),
        ("shift_jis", "Shift_JIS"),
        ("euc-kr", "EUC-KR"),
        ("gb18030", "GB 18030"),
    ):
        if _fits(head, encoding):
            return name
    for encoding, name in (("cp1251", "Windows-1251"), ("koi8-r", "KOI8-R")):
        if _CYRILLIC.search(head.decode(encoding, "ignore")):
            return name
    return "Windows-1252"


def _fits(head: bytes, encoding: str) -> bool:
    """Return whether most non-ASCII characters would be adjacent letters, as in a text of this encoding."""
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    foreign = [char for char in text if char > "\x7f"]
    pairs = re.findall(r"[぀-ヿ一-鿿가-힣]{2,}", text)
    return "\ufffd" not in text and sum(map(len, pairs)) > 0.8 * len(foreign)
