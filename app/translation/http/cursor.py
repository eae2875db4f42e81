"""Cursors of the list: where a page begins, in a form that promises nothing of what is in it."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

_MEMBER = re.compile(r"[0-9]{13}:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{67}")


def encode(member: str) -> str:
    """The cursor behind a name of the index."""
    return urlsafe_b64encode(member.encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    """The name of the index that a cursor stands for. Raises ValueError for one that was not given out."""
    if not _CURSOR.fullmatch(cursor):
        raise ValueError("not a cursor")
    member = urlsafe_b64decode(cursor + "=").decode("ascii")
    if not _MEMBER.fullmatch(member):
        raise ValueError("not a cursor")
    return member
