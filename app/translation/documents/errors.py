"""What can be wrong with a file's contents."""

from __future__ import annotations

from app.translation.request import NotAllowed


class Unreadable(NotAllowed):
    """A text that is not in its format; the text says where and what is expected there."""
