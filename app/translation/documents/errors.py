"""Errors in the contents of a file."""

from __future__ import annotations

from app.translation.request import NotAllowed


class Unreadable(NotAllowed):
    """The text violates its format; the message says where and what was expected there."""


class TooManyParts(NotAllowed):
    """The text has more parts than one translation may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the text has more than {limit:,} parts, the maximum set by TRANSLATION_MAX_PARTS: send it in several "
            "requests"
        )
