"""dramatiq's time limit, with a finer interval and without late interrupts."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from dramatiq.middleware import TimeLimit as BaseTimeLimit
from dramatiq.middleware.threading import raise_thread_exception
from dramatiq.middleware.time_limit import _CtypesTimeoutManager

from tandem.broker.errors import Canceled
from tandem.config.settings import MESSAGE_TIME_LIMIT

# dramatiq's own interval of a second makes short limits inexact.
INTERVAL_MS = 250


class TimeLimit(BaseTimeLimit):
    """Interrupts an actor that runs longer than `time_limit` seconds, or than its own option `time_limit` (ms)."""

    def __init__(self, *, time_limit: float = MESSAGE_TIME_LIMIT) -> None:
        super().__init__(time_limit=time_limit * 1000, interval=INTERVAL_MS)
        self.manager = _Manager(INTERVAL_MS)  # type: ignore[no-untyped-call]

    def cancel(self, thread: int, current: Callable[[], int | None]) -> bool:
        """Interrupt the message on a thread with Canceled; return False if it cannot be interrupted at the moment.

        current: the thread that runs the message, asked while none can begin or end.
        """
        return cast(_Manager, self.manager).cancel(thread, current)


class _Manager(_CtypesTimeoutManager):
    """Interrupts under its lock, so that no interrupt follows once a message's limit was removed.

    dramatiq's own manager decides under the lock and interrupts after it: the thread may run the next message by then.
    """

    def _handle_deadlines(self) -> None:
        with self.mu:
            super()._handle_deadlines()  # type: ignore[no-untyped-call]

    def cancel(self, thread: int, current: Callable[[], int | None]) -> bool:
        with self.mu:
            if current() != thread or not self.deadlines.get(thread):
                return False
            self.deadlines[thread] = None
            raise_thread_exception(thread, Canceled)
            return True
