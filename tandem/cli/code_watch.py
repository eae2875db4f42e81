"""Code of the application that was saved: which files, and whether it can run. For development only."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from tandem import registry
from tandem.cli.check import require_runnable
from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError
from tandem.support.deadline import deadline
from tandem.workload import Workload

logger = logging.getLogger(__name__)

INTERVAL = 0.1
#: A module that blocks when it is imported must not block the watcher for ever (seconds).
CHECK_SECONDS = 10
#: For code that blocks without letting the interpreter go on.
MARGIN_SECONDS = 2.0


def changes(folder: Path) -> Iterator[list[Path]]:
    """Yield every INTERVAL the Python files in a folder that were saved, made or removed since; mostly none."""
    known = states(folder)
    while True:
        time.sleep(INTERVAL)
        current = states(folder)
        yield sorted(path for path in known.keys() | current.keys() if known.get(path) != current.get(path))
        known = current


def states(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return modification time (ns) and size of each Python file in a folder."""
    return dict(_states(folder))


def _states(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    for path in folder.rglob("*.py"):
        try:
            state = path.stat()
        except OSError:
            continue  # an editor replaces a file by renaming another one; or a link leads to itself
        yield path, (state.st_mtime_ns, state.st_size)


def can_run(and_then: Callable[[tuple[Workload, ...]], None] = lambda _loaded: None) -> bool:
    """Return whether the application can run; a forked process loads it, logs its errors, and calls `and_then`."""
    child = os.fork()
    if child == 0:
        _check_and_exit(and_then)
    deadline = time.monotonic() + CHECK_SECONDS + MARGIN_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    logger.error("the workloads did not load within %d s: expected modules that do not block", CHECK_SECONDS)
    return False


def _check_and_exit(and_then: Callable[[tuple[Workload, ...]], None]) -> NoReturn:
    """Check, and end this process: whatever the application does, nothing of its parent may run in this fork."""
    code = 1
    try:
        with deadline(CHECK_SECONDS):
            and_then(require_runnable(Settings.current()))
        code = 0
    except (registry.LoadError, SettingsError) as error:
        for line in error.lines:
            logger.error("%s", line)
    except BaseException:
        logger.exception("the check broke")
    finally:
        sys.stderr.flush()
        os._exit(code)
