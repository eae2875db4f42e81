"""supervisord as this container runs it (`python -m tandem.process.supervisord`, with supervisord's own options).

Four things are different. Signals wake it up, it rotates logs only after complete lines, it holds the locks of the
folders that only one container may use, and it exits with the exit code that was written for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from supervisor import loggers, options, poller, supervisord

from tandem.process import embedded_redis, exit_code, folders, log_forwarder, start_check

_ENOUGH_FOR_ALL_SIGNALS = 4096
# A rotation splits a single line that is longer than this, so that files stay bounded.
_MAX_LINE = 1_048_576
# A program counts as running in the round after its startsecs: at a container's start, which a health check waits for,
# rounds are shorter (seconds).
_START_SECONDS, _START_INTERVAL = 5.0, 0.1
# File descriptors below are the standard streams and those that the interpreter may keep open, as in supervisor.
_FIRST_LEAKED = 5
# Those of start_steps.py, whose imports this process would keep for ever.
_START_STEPS, _UPGRADE = Path("/etc/tandem/init.d"), Path("/run/tandem/upgrade-database")
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h


class WakingPoller(poller.PollPoller):  # type: ignore[misc]
    """Waits for output of the programs and for signals, whichever comes first.

    supervisord checks its signals once in each round of its loop, and a round waits up to a second for output.
    Before Python 3.5 a signal interrupted that wait; since then (PEP 475) it continues. So SIGTERM is handled up to a
    second late, and so is every child that has exited: a second for each group during shutdown, and one more before a
    program that died is restarted.
    """

    def initialize(self) -> None:
        """Register a pipe into which the interpreter writes a byte for each signal."""
        super().initialize()
        self._signals, written = self.pipe = os.pipe()
        os.set_blocking(self._signals, False)
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        self._poller.register(self._signals, self.READ)
        # The first round starts the programs after its wait, as if a signal had come.
        self._signalled = True
        self._started = time.monotonic()

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:
        """Return the file descriptors to read from and to write to, at the latest after `timeout` seconds.

        The loop starts programs before it reaps exited ones, so the round after a signal must not wait either.
        """
        if time.monotonic() - self._started < _START_SECONDS:
            timeout = min(timeout, _START_INTERVAL)
        readable, writable = super().poll(0 if self._signalled else timeout)
        self._signalled = self._signals in readable
        if self._signalled:
            os.read(self._signals, _ENOUGH_FOR_ALL_SIGNALS)
            readable.remove(self._signals)
        return readable, writable


class KeepingOptions(options.ServerOptions):  # type: ignore[misc]
    """Survives `supervisorctl reload` and SIGHUP, which close every possibly leaked file descriptor.

    Those of the poller and of the locks were opened before, and are still needed.
    """

    locks: tuple[int, ...] = ()

    def cleanup_fds(self) -> None:
        """Close the file descriptors that were leaked, except those of the poller and the locks."""
        kept = {*self.poller.pipe, *self.locks}
        for descriptor in range(_FIRST_LEAKED, self.minfds):
            if descriptor not in kept:
                with suppress(OSError):
                    os.close(descriptor)


class LineRotatingFileHandler(loggers.RotatingFileHandler):  # type: ignore[misc]
    """Rotates only after the end of a line: a line that is longer than a pipe's buffer arrives in several reads."""

    _ends_line = True

    def emit(self, record: loggers.LogRecord) -> None:
        """Write the result of one read of a pipe, or one line of supervisord itself."""
        self._ends_line = isinstance(record.msg, str) or record.msg.endswith(b"\n")
        super().emit(record)

    def doRollover(self) -> None:
        """Rotate if it is time and the last line is complete."""
        if self._ends_line or self.stream.tell() >= self.maxBytes + _MAX_LINE:
            super().doRollover()


def _run_start_steps() -> None:
    """Run the start steps, if there are any, before any program; exit with their code if one fails.

    In a process of their own, whose imports this one would keep for ever.
    """
    if not (_UPGRADE.exists() or (_START_STEPS.is_dir() and any(_START_STEPS.iterdir()))):
        return
    # A stop of the container ends the running step.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    code = subprocess.run([sys.executable, "-m", "tandem.process.start_steps"]).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    poller.Poller = WakingPoller
    loggers.RotatingFileHandler = LineRotatingFileHandler
    supervisord.ServerOptions = KeepingOptions
    try:
        programs = os.environ["START_PROGRAMS"].split()
        KeepingOptions.locks = tuple(folders.lock(programs))
        if "redis" in programs:
            embedded_redis.check_before_start()
    except (folders.InUse, embedded_redis.Unusable) as error:
        # InUse: two containers started at the same moment, and the earlier check has noticed neither.
        print(error, file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    code, error_line = start_check.await_result()
    if code:
        print(error_line, end="\n" if error_line else "", file=sys.stderr)
        sys.exit(code)
    _run_start_steps()
    exit_code.reset()
    # Before any program writes: lines of an earlier container are not copied to this one's output.
    log_forwarder.skip_existing_lines()
    supervisord.main()
    sys.exit(exit_code.read())
