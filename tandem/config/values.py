"""Parses the texts of settings: numbers, durations, names of hosts and named tokens. Each ValueError gives the reason.

A reason never contains a secret, and says what is wrong with this value; the setting's description says what is
expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

MIB = 2**20

SECRET = re.compile(r"[\x21-\x7e]{16,256}")
TOKEN_EXPECTED = "16 to 256 visible ASCII characters, or empty for none"  # noqa: S105

# The expected value is the explanation.
NO_REASON = "not allowed"

SIZE_EXPECTED = "a whole number of bytes, or one with K, M or G such as 256M"
_SIZE = re.compile(r"([0-9]{1,12})([KMG]?)")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?|nan|-?inf")
_DURATION = re.compile(r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_TOKEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Longer lists of tokens would need a user directory.
MAX_TOKENS = 1000


def whole(text: str) -> str:
    """Check that `text` is a whole number in plain digits: Python would also read 1_0, +5, 5.0, ٣ and spaces."""
    return _plain(text, _WHOLE, "the digits 0 to 9 only: no space, sign, fraction, underscore or other digits")


def decimal(text: str) -> str:
    """Check that `text` is a number such as 2 or 0.5, in plain digits."""
    return _plain(text, _DECIMAL, "the digits 0 to 9 with at most one point between them, such as 0.5")


def _plain(text: str, form: re.Pattern[str], digits: str) -> str:
    if not form.fullmatch(text):
        raise ValueError(f"a number is written with {digits}" if _is_number_to_python(text) else NO_REASON)
    return text


def _is_number_to_python(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def seconds(text: str) -> int:
    """Return the seconds of a duration in compose's format: 660s, 11m or 1h30m; a bare number is seconds."""
    if _WHOLE.fullmatch(text):
        return int(text)
    match = _DURATION.fullmatch(text)
    if not text or not match:
        raise ValueError("a duration is written with hours, minutes and seconds in this order, such as 1h30m or 660s")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def parse_size(text: str) -> int:
    """Return the bytes of a size such as 256M: a whole number with K, M or G (powers of 1024) or none."""
    match = _SIZE.fullmatch(text.upper())
    size = int(match[1]) * _UNITS[match[2]] if match else 0
    if match is None or size > _UNITS["T"]:
        raise ValueError(NO_REASON)
    return size


def show_size(size: int) -> str:
    """Return a number of bytes as parse_size reads it, in the largest unit that is exact."""
    unit = next(unit for unit in ("G", "M", "K", "") if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}" if size else "0"


def names(text: str) -> tuple[str, ...]:
    """Return the parts between the commas of `text`."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def switch(text: str) -> bool:
    """Return whether a switch, which is 0 or 1, is on."""
    if text not in ("0", "1"):
        raise ValueError(NO_REASON)
    return text == "1"


def ports(parts: Iterable[str]) -> tuple[range, ...]:
    """Return the ports of parts such as 443 and 8000-9000."""
    return tuple(_ports(part) for part in parts)


def _ports(part: str) -> range:
    match = _PORTS.fullmatch(part)
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= low <= high <= 65_535:
        raise ValueError(f"{part[:40]!r} is neither a port from 1 to 65535 nor a range such as 8000-9000")
    return range(low, high + 1)


def host_name(text: str) -> str:
    """Return the name of a host in lower case, as it is compared with the Host of requests."""
    name = text.lower().rstrip(".")
    if _HOST_NAME.fullmatch(name):
        return name
    raise ValueError(f"{text[:100]!r} is not the name of a host: {_host_hint(name)}")


def _host_hint(name: str) -> str:
    if "://" in name or "/" in name:
        return "omit the scheme and the path, such as app.example.com"
    if "*" in name:
        return "patterns are not supported, list each host, or * alone for any"
    if _is_address(name.strip("[]")):
        return "addresses are always allowed, omit it"
    if ":" in name:
        return "omit the port"
    if not name.isascii():
        return "use its ASCII form, which begins with xn--"
    return "expected only letters, digits, points and hyphens"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def token(text: str) -> str:
    """Check that `text` is hard to guess and fits into a header."""
    if not 16 <= len(text) <= 256:
        raise ValueError(f"it has {len(text):,} characters")
    if not SECRET.fullmatch(text):
        raise ValueError("it has a space or a character that is not visible ASCII")
    return text


def named_tokens(text: str) -> dict[str, str]:
    """Return the tokens of NAME:TOKEN,NAME:TOKEN (or one on each line) by their names."""
    parts = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    if len(parts) > MAX_TOKENS:
        raise ValueError(f"it has {len(parts):,} tokens, more than {MAX_TOKENS:,}")
    found: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        name, secret = _named_token(number, part)
        if name in found or secret in found.values():
            raise ValueError(f"entry {number} repeats the {'name' if name in found else 'token'} of an earlier one")
        found[name] = secret
    return found


def _named_token(number: int, part: str) -> tuple[str, str]:
    name, colon, secret = part.partition(":")
    if not colon or not _TOKEN_NAME.fullmatch(name):
        raise ValueError(
            f"entry {number} does not begin with a name and a colon; a name has 1 to 64 letters, digits, ., _ and -"
        )
    try:
        return name, token(secret)
    except ValueError as error:
        raise ValueError(f"the token of entry {number} is invalid: {error}") from None
