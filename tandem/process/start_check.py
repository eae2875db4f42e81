"""The check of the workloads at a container's start, in parallel with the start of supervisord.

Loading all workloads takes as long as supervisord's own start, so a second process does it on a second core, and
supervisord waits for its result before it starts any program. The two share a file: the checking process holds its
lock and writes a word into it. Whatever ends that process, the kernel releases the lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandem.support.deadline import deadline

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
EXIT_SOFTWARE = 70  # EX_SOFTWARE: another start may succeed
#: A module that blocks when it is imported, for example on an unreachable host, delays the start for this long.
SECONDS = 60
_FILE = Path("/run/tandem/start-check")
_PASSED, _REFUSED = b"passed", b"refused"


def fork() -> bool:
    """Fork; return False in the parent and True in the child, which has to check.

    The file is already locked when the parent returns. Raises OSError.
    """
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_FILE, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    # The lock belongs to the open file, which both have: it is free when both have ended.
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if os.fork():
        return False
    # A reader of the standard output reads until every process has closed it.
    os.dup2(2, 1)
    return True


@contextmanager
def record_result() -> Iterator[None]:
    """Write whether the block passed; its exceptions propagate."""
    try:
        yield
    except BaseException:
        _FILE.write_bytes(_REFUSED)
        raise
    _FILE.write_bytes(_PASSED)


def await_result() -> tuple[int, str]:
    """Wait for the check; return its exit code, 0 if it passed, and an error that was not printed yet, or ''."""
    try:
        with _FILE.open("rb") as file, deadline(SECONDS):
            fcntl.flock(file, fcntl.LOCK_SH)
            result = file.read()
    except FileNotFoundError:
        return 0, ""  # started without the entrypoint
    except TimeoutError:
        return EXIT_CONFIG, (
            f"the workloads did not load within {SECONDS} s: expected modules that do not block when they are "
            "imported; type queue check"
        )
    if result == _PASSED:
        return 0, ""
    if result == _REFUSED:
        return EXIT_CONFIG, ""
    return EXIT_SOFTWARE, "the check of the workloads was killed before its end: check whether memory is too low"
