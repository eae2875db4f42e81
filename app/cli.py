"""The command `queue`.

Modules are imported inside the commands that need them: the health check runs every few seconds, and most of its
cost would be imports.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING

import click

from app import logs, settings

if TYPE_CHECKING:
    from app.queueing.broker import Broker

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
# Above startsecs in docker/supervisor/programs/prepare.conf.
PREPARE_SECONDS = 1.5


#: The commands that operate the queue, each the one of this name in its module.
OPERATING = {
    "actors": "app.operations.commands.actors:actors",
    "failed": "app.operations.commands.failed:failed",
    "pause": "app.operations.commands.control:pause",
    "purge": "app.operations.commands.control:purge",
    "resume": "app.operations.commands.control:resume",
    "send": "app.operations.commands.send:send",
    "stats": "app.operations.commands.stats:stats",
    "stop-workers": "app.operations.commands.control:stop_workers",
}


class Group(click.Group):
    """Loads a command, and the workloads that it needs, only when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *OPERATING, *_workload_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if command := super().get_command(ctx, cmd_name):
            return command
        # First of all: actors are declared on the broker that is installed.
        of_workloads = _workload_commands()
        return _operating(cmd_name) if cmd_name in OPERATING else of_workloads.get(cmd_name)


def _workload_commands() -> dict[str, click.Command]:
    from app import workloads
    from app.queueing import broker

    broker.install(settings.current())
    commands = [command for workload in workloads.load() for command in workload.commands()]
    return {str(command.name): command for command in commands}


def _operating(name: str) -> click.Command:
    module, _, attribute = OPERATING[name].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command


class Size(click.ParamType[int]):
    """A size such as 256M, in bytes."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else settings.parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE = Size()


def _given(option: int | None, setting: int) -> int:
    return setting if option is None else option


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def queue() -> None:
    """Run and operate Tandem's queue."""


@queue.command()
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option("--threads", type=click.IntRange(1, 256), help="Messages at the same time. [WORKER_THREADS]")
@click.option("--time-limit", type=click.IntRange(0), help="Leave after so many seconds. [WORKER_TIME_LIMIT]")
@click.option("--memory-limit", type=SIZE, help="Leave when grown to this, such as 256M. [WORKER_MEMORY_LIMIT]")
@click.option("--limit", type=click.IntRange(0), help="Leave after so many messages. [WORKER_MESSAGE_LIMIT]")
@click.option("--failure-limit", type=click.IntRange(0), help="... failures in a row. [WORKER_FAILURE_LIMIT]")
@click.option("-v", "verbosity", count=True, help="Log what happens; -vv details, -vvv the libraries' as well.")
def consume(
    queues: tuple[str, ...],
    threads: int | None,
    time_limit: int | None,
    memory_limit: int | None,
    limit: int | None,
    failure_limit: int | None,
    verbosity: int,
) -> None:
    """Run one worker process on QUEUEs, or on those of WORKER_QUEUES or WORKER_DEDICATED, or on all.

    It leaves with 0 when a limit is reached (0: none), after its running messages have ended.
    """
    from app import workloads
    from app.queueing import broker
    from app.queueing.consume import MemoryLimitTooSmall
    from app.queueing.consume import consume as run
    from app.queueing.limits import Limits

    config = settings.current()
    if config.queue_transport == "sync":
        raise click.ClickException(
            "QUEUE_TRANSPORT=sync: messages are handled where they are sent, none wait for a worker"
        )
    logs.configure(config.log_level, config.log_format, verbosity=verbosity)
    installed = broker.install(config)
    loaded = workloads.load()
    queues = queues or config.queues_of_worker(logs.worker_number())
    unknown = set(queues) - installed.get_declared_queues()
    if unknown:
        known = ", ".join(sorted(installed.get_declared_queues()))
        raise click.ClickException(f"no actor uses the queue {', '.join(sorted(unknown))}: known are {known}")
    _refuse_longer_actors(installed, config)
    limits = Limits(
        time=_given(time_limit, config.worker_time_limit),
        memory=_given(memory_limit, config.worker_memory_limit),
        messages=_given(limit, config.worker_message_limit),
        failures=_given(failure_limit, config.worker_failure_limit),
    )
    at_once = {queue: most for workload in loaded for queue, most in workload.at_once(config).items()}
    threads = threads or config.worker_threads
    try:
        run(
            installed,
            queues=queues,
            threads=threads,
            limits=limits,
            drain_timeout=config.drain_timeout,
            at_once=at_once,
        )
    except MemoryLimitTooSmall as error:
        raise click.ClickException(str(error)) from error


def _refuse_longer_actors(installed: Broker, config: settings.Settings) -> None:
    """A drain, supervisor and Docker wait for MESSAGE_TIME_LIMIT: a longer message would be killed by each stop."""
    for name in installed.get_declared_actors():
        limit = installed.get_actor(name).options.get("time_limit", 0) / 1000
        if limit > config.message_time_limit:
            raise click.ClickException(
                f"the actor {name} may run for {limit:g} s, and a stop waits for {config.message_time_limit} s: "
                "raise MESSAGE_TIME_LIMIT (and STOP_GRACE_PERIOD), or lower the actor's time_limit"
            )


@queue.command()
def prepare() -> None:
    """Do what the workloads need once, at a container's start; supervisor runs it and leaves it ended."""
    from app import workloads
    from app.queueing import broker

    began = time.monotonic()
    config = settings.current()
    logs.configure(config.log_level, config.log_format)
    broker.install(config)
    for workload in workloads.load():
        if workload.prepare:
            workload.prepare(config)
    # supervisor takes an end within its startsecs for a start that has failed.
    time.sleep(max(0.0, PREPARE_SECONDS - (time.monotonic() - began)))


@queue.command("logs")
@click.argument("numbers", nargs=-1, type=click.IntRange(0), metavar="[NUMBER]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, across rotations.")
@click.option("-n", "--lines", type=click.IntRange(0, 1_000_000), default=50, show_default=True, help="Newest lines.")
@click.option("-e", "--errors", is_flag=True, help="Warnings and errors only.")
@click.option("--since", help="Not older than 30s, 10m, 2h, 1d or 2026-11-22T05:30:00.")
def show_logs(numbers: tuple[int, ...], follow: bool, lines: int, errors: bool, since: str | None) -> None:
    """Print the newest lines of all workers' logs, or of the workers with these NUMBERs."""
    from datetime import UTC, datetime

    from app.operations import worker_logs

    try:
        moment = worker_logs.parse_since(since, datetime.now(UTC)) if since else worker_logs.LONG_AGO
        stream = worker_logs.WorkerLogs(numbers, errors_only=errors)
    except (ValueError, worker_logs.NothingThere) as error:
        raise click.ClickException(str(error)) from error
    colour = sys.stdout.isatty()
    for entry in stream.newest(lines, moment):
        click.echo("\n".join(worker_logs.painted(entry, colour=colour)))
    if follow:
        for entry in stream.follow():
            click.echo("\n".join(worker_logs.painted(entry, colour=colour)))


@queue.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def health(as_json: bool) -> None:
    """Look at every program, Redis, the web and what the work depends on; exit with 1 when something failed."""
    from app import workloads
    from app.operations.alert_checks import alert_checks
    from app.operations.health import container_checks
    from app.queueing import broker, checks

    config = settings.current()
    broker.install(config)
    looks = container_checks(config) + checks.queue_checks(config)
    for workload in workloads.load():
        looks += workload.checks(config)
    looks += alert_checks(config)
    results = checks.run(looks)
    if as_json:
        click.echo(json.dumps([vars(result) for result in results], indent=2))
    else:
        width = max(len(result.name) for result in results)
        for result in results:
            click.echo(f"{result.status:<4}  {result.name:<{width}}  {result.detail}")
    sys.exit(checks.worst(results) == checks.Status.FAIL)


@queue.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--supervisor", is_flag=True, hidden=True, help="Print what docker/supervisor/*.conf refer to.")
def config(as_json: bool, supervisor: bool) -> None:
    """Print the effective settings, secrets masked."""
    effective = settings.current()
    if supervisor:
        _print_for_supervisor(effective)
        return
    values = {name.upper(): settings.masked(name, value) for name, value in effective}
    if as_json:
        click.echo(json.dumps(values, indent=2))
    else:
        for name, value in values.items():
            click.echo(f"{name}={value}")


def _refuse_unknown_queues(effective: settings.Settings) -> None:
    """A worker would refuse them as well, but only when it starts, again and again."""
    if not (effective.worker_queues or effective.worker_dedicated):
        return
    from app import workloads
    from app.queueing import broker

    installed = broker.install(effective)
    workloads.load()
    known = installed.get_declared_queues()
    named = {
        f"WORKER_QUEUES={','.join(effective.worker_queues)}": effective.worker_queues,
        f"WORKER_DEDICATED={','.join(effective.worker_dedicated)}": effective.dedicated_queues,
    }
    lines = [
        f"{setting} cannot be used: allowed are names out of {', '.join(sorted(known))}"
        for setting, queues in named.items()
        if set(queues) - known
    ]
    if lines:
        raise settings.SettingsError(lines)


def _print_for_supervisor(effective: settings.Settings) -> None:
    """Shell assignments for the entrypoint: supervisor has no defaults for variables in its configuration."""
    _refuse_unknown_queues(effective)
    variables = {
        "START_PROGRAMS": " ".join(effective.started_programs),
        "LOG_LEVEL": effective.log_level,
        "LOG_FORMAT": effective.log_format,
        "REDIS_MAXMEMORY": effective.redis_maxmemory,
        "WORKER_PROCESSES": effective.worker_processes,
        "WORKER_STOP_SECONDS": effective.worker_stop_seconds,
        **{name.upper(): getattr(effective, name) for name in settings.THRESHOLDS},
    }
    for name, value in variables.items():
        click.echo(f"{name}={shlex.quote(str(value))}")


def main() -> None:
    """What /usr/local/bin/queue starts. Exits with 78 when a setting cannot be used."""
    try:
        queue(prog_name="queue")
    except settings.SettingsError as error:
        for line in error.lines:
            click.echo(line, err=True)
        sys.exit(EXIT_CONFIG)
    except Exception as error:
        if not _is_redis_away(error):
            raise
        click.echo(f"Error: Redis {_what_redis_did(error)}: {error}", err=True)
        sys.exit(1)


def _what_redis_did(error: Exception) -> str:
    import redis

    refused = isinstance(error.__cause__ or error, redis.ResponseError)
    return "refused it" if refused else "does not answer"


def _is_redis_away(error: Exception) -> bool:
    import redis
    from dramatiq.errors import BrokerConnectionError

    return isinstance(error, (redis.RedisError, BrokerConnectionError))


if __name__ == "__main__":
    main()
