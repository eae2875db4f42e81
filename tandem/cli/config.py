"""The command `queue config`: the effective settings, all settings with their defaults, the entrypoint's variables."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING

import click

from tandem.config import example, settings
from tandem.config.settings_base import SettingsError
from tandem.process import folders, programs, start_check, start_steps

if TYPE_CHECKING:
    from tandem.workload import Workload


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--example", "as_example", is_flag=True, help="Print every setting with its default, as .env.example.")
@click.option("--supervisor", is_flag=True, hidden=True, help="Print the variables of docker/supervisor/*.conf.")
@click.option("--check-beside", is_flag=True, hidden=True, help="Check the workloads in a separate process.")
def config(as_json: bool, as_example: bool, supervisor: bool, check_beside: bool) -> None:
    """Print the effective settings, secrets masked."""
    effective = settings.current()
    if supervisor:
        _print_for_supervisor(effective, check_beside=check_beside)
        return
    from tandem import registry  # would slow down the entrypoint, which needs only the code above

    owners = [effective, *(load.settings.current() for load in registry.load(effective) if load.settings)]
    if as_example:
        click.echo(example.text([type(owner) for owner in owners]), nl=False)
        return
    values = {name: value for owner in owners for name, value in owner.shown().items()}
    if as_json:
        click.echo(json.dumps(values, indent=2))
    else:
        for name, value in values.items():
            click.echo(f"{name}={value}")


def _print_for_supervisor(effective: settings.Settings, *, check_beside: bool) -> None:
    """Print shell assignments for the entrypoint: supervisor has no defaults for variables in its configuration.

    Invalid workloads are refused: before this returns, or by a process that continues after it.
    """
    installed, lines = programs.read()
    if lines := [*folders.problems(effective.started_programs), *lines]:
        raise SettingsError(lines)
    programs.write(installed)
    if not check_beside:
        _check(effective)
    elif start_check.fork():
        with start_check.record_result():
            _check(effective)
        return
    variables = {
        "START_PROGRAMS": " ".join(effective.started_programs),
        "LOG_LEVEL": effective.log_level,
        "LOG_FORMAT": effective.log_format,
        "LOG_COLORS": int(effective.log_colors),
        "DEBUG_PORT": effective.debug_port,
        "REDIS_MAXMEMORY": effective.redis_maxmemory,
        # The disk of an external Redis cannot be checked.
        "DISK_FREE_LIMIT": 0 if effective.redis_url else effective.disk_free_limit,
        "PROXY_FILES": _write_proxy_configuration(effective),
        "WORKER_PROCESSES": effective.worker_processes,
        "WORKER_STOP_SECONDS": effective.worker_stop_seconds,
        **{name.upper(): getattr(effective, name) for name in settings.THRESHOLDS},
    }
    for name, value in variables.items():
        click.echo(f"{name}={shlex.quote(str(value))}")


def _check(effective: settings.Settings) -> None:
    # Imported in the parallel process, so that it costs no time.
    from tandem import registry, runtime
    from tandem.cli.check import require_runnable
    from tandem.schedules import definitions

    loaded = require_runnable(effective)
    own = registry.programs(loaded, effective)
    # Here and not at the build, where nobody has set how long a stop waits.
    if lines := list(programs.too_slow([*programs.read()[0], *own], *effective.stop_seconds)):
        raise SettingsError(lines)
    programs.write(own)
    definitions.write(registry.schedule_definitions(loaded), runtime.get_broker().actors)
    uses_database = any(workload.database for workload in loaded) and {"web", "worker"} & set(
        effective.started_programs
    )
    start_steps.plan_upgrade(bool(uses_database) and not _made_database(effective, loaded))


def _made_database(effective: settings.Settings, loaded: tuple[Workload, ...]) -> bool:
    """Return whether the schema is up to date now: it was, or the database is new and has got its tables."""
    from tandem.process.log_forwarder import as_json, prefixed
    from tandem.sql import startup

    done = startup.made(loaded)
    if done:
        form = as_json if effective.log_format == "json" else prefixed
        sys.stdout.buffer.write(form("database", done.encode()))
        sys.stdout.flush()
    return done is not None


def _write_proxy_configuration(effective: settings.Settings) -> int:
    if "proxy" not in effective.started_programs:
        return 0
    from tandem.web import proxy_configuration

    return proxy_configuration.write(effective)
