"""The hidden command `queue reload`: the program `reload`, with which web and workers take over changed code.

For development (RELOAD=1). Code is checked before it is taken over, so that code which cannot run stops nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from tandem import logs, registry
from tandem.cli.check import require_runnable
from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError
from tandem.process import supervisor
from tandem.process.supervisor import SupervisorUnavailable
from tandem.registry import places

logger = logging.getLogger(__name__)

INTERVAL = 0.1
#: A module that blocks when it is imported must not block this program for ever (seconds).
CHECK_SECONDS = 30.0


@click.command("reload", hidden=True)
def reload() -> None:
    """Watch the application's code until SIGTERM."""
    config = Settings.current()
    logs.configure(config.log_level, config.log_format)
    # Everything that a check needs but the application: a check is then a fork, and takes a tenth of a second.
    from tandem.web import application as _web  # noqa: F401

    folder = places.application_folder()
    logger.info("watching %s: save a file, and web and workers take it over", folder)
    known = states(folder)
    while True:
        time.sleep(INTERVAL)
        current = states(folder)
        changed = sorted(path for path in known.keys() | current.keys() if known.get(path) != current.get(path))
        known = current
        if changed:
            take_over(changed)


def states(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return modification time (ns) and size of each Python file in a folder."""
    return dict(_states(folder))


def _states(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    for path in folder.rglob("*.py"):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue  # an editor replaces a file by renaming another one
        yield path, (state.st_mtime_ns, state.st_size)


def take_over(changed: list[Path]) -> None:
    """Restart web and workers with the changed code, if it can run; otherwise log why not."""
    if not passes_check():
        logger.error("the old code goes on")
        return
    try:
        # gunicorn starts new processes and lets the old ones finish; a worker finishes its messages and is replaced.
        supervisor.send_signal("web", "HUP")
        supervisor.send_signal("worker", "TERM")
    except SupervisorUnavailable as error:
        logger.error("web and workers are not restarted: %s", error)
        return
    logger.info("taken over: %s", ", ".join(path.name for path in changed))


def passes_check() -> bool:
    """Return whether the application can run; its errors are logged by a forked process, which loads it."""
    child = os.fork()
    if child == 0:
        os._exit(_check())
    deadline = time.monotonic() + CHECK_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    logger.error("the workloads did not load within %d s: expected modules that do not block", CHECK_SECONDS)
    return False


def _check() -> int:
    try:
        require_runnable(Settings.current())
    except (registry.LoadError, SettingsError) as error:
        for line in error.lines:
            logger.error("%s", line)
        sys.stderr.flush()
        return 1
    return 0
