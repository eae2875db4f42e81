"""The command `queue`.

Modules are imported inside the commands that need them: the health check runs every few seconds, and most of its
cost would be imports.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from tandem.cli.commands import COMMANDS, NEED_WORKLOADS
from tandem.config import settings
from tandem.config.settings_base import SettingsError

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h


class Group(click.Group):
    """Loads a command, and the workloads that it needs, only when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *_workload_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS and cmd_name not in NEED_WORKLOADS:
            return _platform_command(cmd_name)
        of_workloads = _workload_commands()
        return _platform_command(cmd_name) if cmd_name in COMMANDS else of_workloads.get(cmd_name)


def _workload_commands() -> dict[str, click.Command]:
    from tandem import registry

    commands = [command for workload in registry.load(settings.current()) for command in workload.commands()]
    return {str(command.name): command for command in commands}


def _platform_command(name: str) -> click.Command:
    module, _, attribute = COMMANDS[name].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def queue() -> None:
    """Run and operate Tandem's queue."""


def main() -> None:
    """Run the command `queue`. Exits with 78 if a setting or a workload is invalid."""
    # Last, for the package of an application in this folder: a console script has only its own one on its path.
    sys.path.append(str(Path.cwd()))
    try:
        queue(prog_name="queue")
    except SettingsError as error:
        for line in error.lines:
            click.echo(line, err=True)
        sys.exit(EXIT_CONFIG)
    except Exception as error:
        if lines := _load_problems(error):
            click.echo("\n".join(lines), err=True)
            sys.exit(EXIT_CONFIG)
        if not _is_redis_error(error):
            raise
        click.echo(f"Error: {_redis_reason(error)}: {error}", err=True)
        sys.exit(1)


def _load_problems(error: Exception) -> list[str]:
    from tandem.registry import LoadError

    return error.lines if isinstance(error, LoadError) else []


def _redis_reason(error: Exception) -> str:
    import redis

    from tandem.broker.idempotency import DiskFull

    if isinstance(error, DiskFull):
        return "the message was refused"
    refused = isinstance(error.__cause__ or error, redis.ResponseError)
    return "Redis refused the command" if refused else "Redis does not answer"


def _is_redis_error(error: Exception) -> bool:
    import redis
    from dramatiq.errors import BrokerConnectionError

    return isinstance(error, (redis.RedisError, BrokerConnectionError))


if __name__ == "__main__":
    main()
