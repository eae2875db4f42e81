"""Counts calls for each text, for tests and for the misbehaviour that gets well after some calls."""

import threading


class Tally:
    """A counter for each text, safe for threads.

    Texts beyond the first ``limit`` are counted in the total only.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._chat = 0
        self._texts: dict[str, int] = {}

    def add(self, text: str) -> int:
        """Count one call and return how many there were with this text, 1 for one that is not remembered."""
        with self._lock:
            self._chat += 1
            if text not in self._texts and len(self._texts) >= self._limit:
                return 1
            self._texts[text] = self._texts.get(text, 0) + 1
            return self._texts[text]

    def as_json(self) -> dict[str, object]:
        """``{"chat": calls, "texts": {text: calls}}``."""
        with self._lock:
            return {"chat": self._chat, "texts": dict(self._texts)}
