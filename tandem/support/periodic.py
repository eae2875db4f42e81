"""A thread that repeats one step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Periodic(threading.Thread):
    """Calls `step` every `interval` seconds until `stop`, or until its process exits.

    An exception does not end it: one of `expected` is logged in one line at level DEBUG, any other one is a bug and is
    logged with its traceback. `at_once`: the first step comes before the first pause.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], object],
        interval: float,
        *,
        expected: tuple[type[Exception], ...] = (),
        at_once: bool = False,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._step = step
        self._interval = interval
        self._expected = expected
        self._at_once = at_once
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop after the current step."""
        self._stopped.set()

    def run(self) -> None:
        if self._at_once:
            self._do()
        while not self._stopped.wait(self._interval):
            self._do()

    def _do(self) -> None:
        try:
            self._step()
        except self._expected as error:
            logger.debug("%s: %s", self.name, error)
        except Exception:
            logger.exception("%s failed, and continues", self.name)
