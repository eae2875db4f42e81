"""Count what stays untranslated on purpose, so that a client can see what the result leaves out."""

from __future__ import annotations

import re
from typing import Any

from app.translation.documents.placeholders import protect

_LETTER = re.compile(r"[^\W\d_]")


class Untranslated:
    """Parts and characters that stay unchanged, by reason, such as `code`. Parts without a letter do not count."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    def add(self, why: str, part: str) -> None:
        """Count one part."""
        if _LETTER.search(part):
            parts, characters = self._counts.get(why, (0, 0))
            self._counts[why] = parts + 1, characters + len(part)

    def add_hidden(self, text: str, *, markdown: bool) -> None:
        """Count what is hidden from the model within a translated text."""
        protected = protect(text, markdown=markdown)
        for why, hidden in zip(protected.whys, protected.hidden, strict=True):
            self.add(why, hidden)

    def public(self) -> list[dict[str, Any]]:
        """Return the JSON for clients, the reason with most characters first."""
        counts = sorted(self._counts.items(), key=lambda item: (-item[1][1], item[0]))
        return [{"why": why, "parts": parts, "characters": characters} for why, (parts, characters) in counts]
