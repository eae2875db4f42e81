"""supervisord, woken up by signals (`python -m app.operations.supervisord`, with supervisord's own options).

supervisord looks at its signals once in each round of its loop, and a round waits up to a second for output of its
programs. Before Python 3.5 a signal cut that wait short; since then (PEP 475) it goes on. So SIGTERM is noticed up
to a second late, and so is every child that has ended: a second for each group on the way down, and one more before
a program that died is started again. Here a signal ends the wait, as it was meant to.
"""

from __future__ import annotations

import os
import signal

from supervisor import poller
from supervisor.supervisord import main

_ENOUGH_FOR_ALL_SIGNALS = 4096


class WakingPoller(poller.PollPoller):  # type: ignore[misc]
    """Waits for output of the programs and for signals, whichever comes first."""

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


if __name__ == "__main__":
    poller.Poller = WakingPoller
    main()
