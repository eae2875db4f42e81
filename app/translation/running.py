"""Looks after the calls that this process makes: says how far each is, and ends those whose answer nobody wants."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from app.translation.engine.ollama import Call
from app.translation.store import Store

logger = logging.getLogger(__name__)

# Seconds between two looks: how old the number of characters may be, and how long a cancelled call goes on at most.
LOOK_EVERY = 0.5


@dataclass
class _Watched:
    id: str
    run: str
    told: int = 0


class Running:
    """One thread for all calls of the process; it starts with the first call and sleeps while there is none."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._calls: dict[Call, _Watched] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def call(self, id: str, run: str) -> Iterator[Call]:
        """A call for this run of a translation, watched as long as the context lasts."""
        call = Call()
        with self._change:
            self._calls[call] = _Watched(id, run)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="calls", daemon=True)
                self._thread.start()
            self._change.notify()
        try:
            yield call
        finally:
            with self._change:
                del self._calls[call]

    def _watch(self) -> None:
        pause = threading.Event()
        while True:
            with self._change:
                self._change.wait_for(lambda: self._calls)
                calls = list(self._calls.items())
            for call, watched in calls:
                self._look(call, watched)
            pause.wait(LOOK_EVERY)

    def _look(self, call: Call, watched: _Watched) -> None:
        characters = call.characters
        try:
            if characters == watched.told:
                wanted = self._store().is_running(watched.id, watched.run)
            else:
                wanted = self._store().note_characters(watched.id, watched.run, characters)
        except redis.RedisError as error:
            logger.debug("cannot say how far %s is: %s", watched.id, error)
            return
        watched.told = characters
        if not wanted:
            call.cut()
