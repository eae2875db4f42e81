"""Escapes untrusted text for a terminal and a log: one line, without control characters."""

from __future__ import annotations

import re

# Every byte but those of harmless ASCII; a tab only moves the cursor.
_HARMFUL = re.compile(rb"[^\t\x20-\x7e]")
# Query parameters whose last word marks the value as a secret: token, access_token, api_key, user[password].
_SECRET = re.compile(
    r"([?&;](?:[\w.%\[-]{0,64}(?:[_.\[-]|%5B))?(?:token|key|apikey|password|passwd|secret)(?:\]|%5D)?=)[^&;\s\"'#]+",
    re.I,
)


def escaped(text: str) -> str:
    """Return the text as one line, with everything that a terminal would act on escaped as in Python (\\n, \\x1b)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def escaped_line(line: bytes) -> bytes:
    """Return an escaped line of any program; its tabs stay, and a carriage return at its end is removed."""
    if not _HARMFUL.search(line):
        return line
    text = line.rstrip(b"\r").decode(errors="backslashreplace")
    return "\t".join(escaped(part) for part in text.split("\t")).encode()


def lines(text: str) -> list[str]:
    """Return the lines of a longer text, each escaped."""
    return [escaped(line.expandtabs(4)) for line in text.split("\n")]


def without_secrets(text: str) -> str:
    """Return the text with `***` for the values of query parameters whose names mark them as secrets."""
    return _SECRET.sub(r"\1***", text)
