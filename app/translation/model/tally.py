"""Count calls for each text, for tests and for misbehaviours that succeed after some calls."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import ClientGone, ConnectionCut


class Tally:
    """A counter for each text, safe for threads.

    Texts beyond the first ``limit`` are counted in the total only.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._chat = 0
        self._running = 0
        self._most_running = 0
        self._gone = 0
        self._loads: list[str] = []
        self._texts: dict[str, int] = {}

    def add(self, text: str) -> int:
        """Count one call and return how many there were with this text, 1 for one that is not remembered."""
        with self._lock:
            self._chat += 1
            if text not in self._texts and len(self._texts) >= self._limit:
                return 1
            self._texts[text] = self._texts.get(text, 0) + 1
            return self._texts[text]

    def note_load(self, line: str) -> None:
        """Remember what was loaded, loaded again or broken off, the first hundred of it."""
        with self._lock:
            self._loads = [*self._loads, line][:100]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count the call if its client closes the connection before the answer's end."""
        try:
            yield
        except ConnectionCut:
            raise
        except (ClientGone, OSError):
            with self._lock:
                self._gone += 1
            raise

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count a call as long as it is answered."""
        with self._lock:
            self._running += 1
            self._most_running = max(self._most_running, self._running)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def as_json(self) -> dict[str, object]:
        """How many calls there were, at most at the same time, given up by their client, and for each text."""
        with self._lock:
            return {
                "chat": self._chat,
                "most_running": self._most_running,
                "gone": self._gone,
                "loads": list(self._loads),
                "texts": dict(self._texts),
            }
