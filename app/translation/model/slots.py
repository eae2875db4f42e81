"""Limits how many translations run, and how many wait, at the same time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import ApiError, ClientGone

LOOK_FOR_CLIENT = 0.1
# The two spaces are Ollama's.
BUSY = "server busy, please try again.  maximum pending requests exceeded"


class Slots:
    """``parallel`` slots with at most ``max_queue`` requests waiting for one."""

    def __init__(self, parallel: int, max_queue: int) -> None:
        self._free = threading.BoundedSemaphore(parallel)
        self._places = threading.BoundedSemaphore(parallel + max_queue)

    @contextmanager
    def one(self, gone: Callable[[], bool]) -> Iterator[None]:
        """Hold a slot.

        Raises ApiError 503 when the queue is full, ClientGone when ``gone()`` while waiting.
        """
        if not self._places.acquire(blocking=False):
            raise ApiError(503, BUSY)
        try:
            while not self._free.acquire(timeout=LOOK_FOR_CLIENT):
                if gone():
                    raise ClientGone
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._places.release()
