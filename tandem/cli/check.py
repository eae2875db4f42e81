"""The command `queue check`: checks whether a container can start with these settings and workloads."""

from __future__ import annotations

import click

from tandem import registry, runtime
from tandem.cli.commands import COMMANDS
from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsError
from tandem.config.values import MIB, show_size
from tandem.process import debugger, programs, start_steps
from tandem.process.resource_usage import resident_memory
from tandem.registry import conflicts, places
from tandem.support.deadline import deadline
from tandem.support.formatting import counted
from tandem.workload import Workload

#: The start of a container waits as long.
LOAD_SECONDS = 60


@click.command()
def check() -> None:
    """Check the settings and load all workloads; exit with 78 and the reasons if they cannot run.

    The build of the image and each start of a container do the same.
    """
    with deadline(LOAD_SECONDS):
        require_runnable(Settings.current())
    click.echo(f"{counted(len(runtime.get_broker().actors), 'actor')} can run; next: queue actors, queue config")


def _refuse_unknown_queues(effective: Settings) -> None:
    """Raise SettingsError for unknown queues, which a worker would refuse at each start. The workloads are loaded."""
    known = runtime.configure(effective).get_declared_queues()
    named = {
        f"WORKER_QUEUES={','.join(effective.worker_queues)}": effective.worker_queues,
        f"WORKER_DEDICATED={','.join(effective.worker_dedicated)}": effective.dedicated_queues,
    }
    lines = [
        f"{setting} is invalid: expected names from {', '.join(sorted(known))}"
        for setting, queues in named.items()
        if set(queues) - known
    ]
    if lines:
        raise SettingsError(lines)


def _refuse_too_little_memory(effective: Settings) -> None:
    """Raise SettingsError for a limit that a worker would refuse at each start. This process has the same size."""
    limit, needed = effective.worker_memory_limit, resident_memory()
    if "worker" in effective.started_programs and 0 < limit <= needed:
        raise SettingsError(
            [
                f"WORKER_MEMORY_LIMIT={show_size(limit)} is invalid: expected more than the "
                f"{needed / MIB:.0f} MiB that a worker uses before its first message, such as "
                f"{show_size(_with_room(needed))}, or 0 for no limit"
            ]
        )


def _with_room(needed: int) -> int:
    """Return a round number of bytes that leaves at least 64 MiB above those needed, for messages."""
    step = 64 * MIB
    return (needed // step + 2) * step


def _refuse_missing_debugger(effective: Settings) -> None:
    """Raise SettingsError for a DEBUG_PORT in an image that has no debugger."""
    if effective.debug_port and not debugger.is_installed():
        raise SettingsError(
            [
                f"DEBUG_PORT={effective.debug_port} is invalid: this image has no debugger; expected one built "
                "with --build-arg DEV=1, as bin/dev --debug does"
            ]
        )


def require_runnable(effective: Settings) -> tuple[Workload, ...]:
    """Load everything as the processes of a container do; return the workloads. Raises LoadError and SettingsError."""
    try:
        return _load_everything(effective)
    except (registry.LoadError, SettingsError):
        raise
    except Exception as error:
        # Of a function of a workload, such as the one that makes its blueprint.
        line = (
            f"{places.of_error(error)}: {type(error).__name__}: {' '.join(str(error).split()) or 'no reason was given'}"
        )
        raise registry.LoadError([line]) from error


def _load_everything(effective: Settings) -> tuple[Workload, ...]:
    _refuse_invalid_files()
    loaded = registry.load_and_verify(effective)
    _refuse_duplicate_commands(loaded)
    _refuse_unknown_queues(effective)
    _refuse_too_little_memory(effective)
    _refuse_missing_debugger(effective)
    if "web" in effective.started_programs:
        from tandem.web.application import create_app  # a container without the program web does not need Flask

        create_app(effective)
    return loaded


def _refuse_invalid_files() -> None:
    """Raise SettingsError for a file of a program or of a start step that a container would refuse."""
    _, lines = programs.read()
    try:
        start_steps.steps()
    except start_steps.StepFailed as error:
        lines.append(str(error))
    if lines:
        raise SettingsError(lines)


def _refuse_duplicate_commands(workloads: tuple[Workload, ...]) -> None:
    own = [(conflicts.PLATFORM, name) for name in COMMANDS]
    theirs = [(workload.name, str(command.name)) for workload in workloads for command in workload.commands()]
    if lines := list(conflicts.duplicates("have the command", [*own, *theirs])):
        raise registry.LoadError(lines)
