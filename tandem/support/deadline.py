"""A limit for code that may block where it should not."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the block after so many seconds, at the place where it is. Main thread only."""

    def end(*_: object) -> NoReturn:
        raise TimeoutError(f"it has not ended after {seconds} s: expected code that does not block when it is loaded")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        # None: a handler that was not installed from Python.
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
