"""supervisord as this container runs it (`python -m app.operations.supervisord`, with supervisord's own options).

Three things are different. It is woken up by signals, it rotates logs behind whole lines only, and it leaves with the
exit code that was left for it.
"""

from __future__ import annotations

import os
import signal
import sys

from supervisor import loggers, poller
from supervisor.supervisord import main

from app.operations import exit_code, log_copy

_ENOUGH_FOR_ALL_SIGNALS = 4096
# A single line longer than this is torn by a rotation after all; files must stay bounded.
_LONGEST_LINE = 1_048_576


class WakingPoller(poller.PollPoller):  # type: ignore[misc]
    """Waits for output of the programs and for signals, whichever comes first.

    supervisord looks at its signals once in each round of its loop, and a round waits up to a second for output.
    Before Python 3.5 a signal cut that wait short; since then (PEP 475) it goes on. So SIGTERM is noticed up to a
    second late, and so is every child that has ended: a second for each group on the way down, and one more before a
    program that died is started again.
    """

    def initialize(self) -> None:
        """Registers a pipe into which the interpreter writes a byte for each signal."""
        super().initialize()
        self._signals, written = os.pipe()
        os.set_blocking(self._signals, False)
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        self._poller.register(self._signals, self.READ)
        self._woken = False

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        """The file descriptors to read from and to write to, at the latest after `timeout` seconds.

        The loop starts programs before it looks for ended ones, so the round after a signal must not wait either.
        """
        readable, writable = super().poll(0 if self._woken else timeout)
        self._woken = self._signals in readable
        if self._woken:
            os.read(self._signals, _ENOUGH_FOR_ALL_SIGNALS)
            readable.remove(self._signals)
        return readable, writable


class LineRotatingFileHandler(loggers.RotatingFileHandler):  # type: ignore[misc]
    """Rotates when a line has ended: one that is longer than a pipe passes on at once comes in several reads."""

    _ends_line = True

    def emit(self, record: loggers.LogRecord) -> None:
        """Writes what one read of a pipe gave, or one line of supervisord itself."""
        self._ends_line = isinstance(record.msg, str) or record.msg.endswith(b"\n")
        super().emit(record)

    def doRollover(self) -> None:
        """Rotates if it is time and the last line is whole."""
        if self._ends_line or self.stream.tell() >= self.maxBytes + _LONGEST_LINE:
            super().doRollover()


if __name__ == "__main__":
    poller.Poller = WakingPoller
    loggers.RotatingFileHandler = LineRotatingFileHandler
    exit_code.forget()
    # Before any program writes: what an earlier container left in the files is not copied to this one's output.
    log_copy.start_behind_what_is_there()
    main()
    sys.exit(exit_code.left())
