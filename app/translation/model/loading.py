"""Load models as Ollama's scheduler does: slowly, one after another, each with its launch options."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import ClientGone

LOOK_FOR_CLIENT = 0.05

#: The options with which a runner is started: changing any of them restarts it.
Launch = tuple[tuple[str, object], ...]


class Loading:
    """Loads take ``seconds``. ``report`` is called with a line for each event.

    A load is aborted when the client that requested it disconnects. A model whose launch options change is restarted
    after its running calls have ended; until then no other model is loaded either.
    """

    def __init__(self, seconds: float, report: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._report = report
        self._change = threading.Condition()
        self._loaded: dict[str, Launch] = {}
        self._users: dict[str, int] = {}
        self._loader = False

    @contextmanager
    def using(self, model: str, launch: Launch, gone: Callable[[], bool]) -> Iterator[None]:
        """Keep the model in memory with these options. Raises ClientGone when ``gone()`` before it is loaded."""
        with self._change:
            while not self._enter(model, launch, gone):
                if gone():
                    raise ClientGone
        try:
            yield
        finally:
            with self._change:
                self._users[model] -= 1
                self._change.notify_all()

    def _enter(self, model: str, launch: Launch, gone: Callable[[], bool]) -> bool:
        if self._loaded.get(model) == launch:
            self._users[model] = self._users.get(model, 0) + 1
            return True
        if self._loader:
            self._change.wait(LOOK_FOR_CLIENT)
            return False
        self._loader = True
        try:
            self._load(model, launch, gone)
        finally:
            self._loader = False
            self._change.notify_all()
        return False

    def _load(self, model: str, launch: Launch, gone: Callable[[], bool]) -> None:
        before = self._loaded.get(model)
        self._report(f"{'reload' if before else 'load'} {model} {dict(launch)}")
        while self._users.get(model):
            self._wait_or_abort(model, LOOK_FOR_CLIENT, gone)
        self._loaded.pop(model, None)
        end = time.monotonic() + self._seconds
        while (left := end - time.monotonic()) > 0:
            self._wait_or_abort(model, min(left, LOOK_FOR_CLIENT), gone)
        self._loaded[model] = launch

    def _wait_or_abort(self, model: str, seconds: float, gone: Callable[[], bool]) -> None:
        self._change.wait(seconds)
        if gone():
            self._report(f"aborting load of {model}")
            raise ClientGone
