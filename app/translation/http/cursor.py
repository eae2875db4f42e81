"""Opaque cursors of the list: where a page begins."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

_MEMBER = re.compile(r"[0-9]{13}:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{67}")


def encode(member: str) -> str:
    """Encode the cursor after a member of the index."""
    return urlsafe_b64encode(member.encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    """Decode a cursor to a member of the index. Raises ValueError if it is invalid."""
    if not _CURSOR.fullmatch(cursor):
        raise ValueError("not a cursor")
    member = urlsafe_b64decode(cursor + "=").decode("ascii")
    if not _MEMBER.fullmatch(member):
        raise ValueError("not a cursor")
    return member
