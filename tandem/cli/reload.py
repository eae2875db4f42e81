"""The hidden command `queue reload`: the program `reload`, with which web and workers take over changed code.

For development (RELOAD=1). Code is checked before it is taken over, so that code which cannot run stops nothing.
"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from tandem import logs, registry, runtime
from tandem.cli import code_watch
from tandem.config.settings import Settings
from tandem.process import programs, supervisor
from tandem.process.supervisor import SupervisorUnavailable
from tandem.registry import places
from tandem.schedules import definitions
from tandem.workload import Workload

logger = logging.getLogger(__name__)


@click.command("reload", hidden=True)
def reload() -> None:
    """Watch the application's code until SIGTERM."""
    config = Settings.current()
    logs.configure(config.log_level, config.log_format)
    # Everything that a check needs but the application: a check is then a fork, and takes a tenth of a second.
    from tandem.web import application as _web  # noqa: F401

    folder = places.application_folder()
    logger.info("watching %s: save a file, and web and workers take it over", folder)
    for changed in code_watch.changes(folder):
        if changed:
            take_over(changed)


def take_over(changed: list[Path]) -> None:
    """Restart the processes with the changed code, if it can run; otherwise log why not."""
    schedules = definitions.read()
    if not code_watch.can_run(_write_schedules):
        logger.error("the old code goes on")
        return
    try:
        # gunicorn starts new processes and lets the old ones finish; a worker finishes its messages and is replaced.
        supervisor.send_signal("web", "HUP")
        supervisor.send_signal("worker", "TERM")
        for program in programs.own():
            supervisor.send_signal(program, "TERM")
        if definitions.read() != schedules:
            supervisor.send_signal("monitor", "TERM")
    except SupervisorUnavailable as error:
        logger.error("web and workers are not restarted: %s", error)
        return
    logger.info("taken over: %s", ", ".join(path.name for path in changed))


def _write_schedules(loaded: tuple[Workload, ...]) -> None:
    definitions.write(registry.schedule_definitions(loaded), runtime.get_broker().actors)
