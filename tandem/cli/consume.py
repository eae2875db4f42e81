"""The command `queue consume`: one worker process."""

from __future__ import annotations

import click

from tandem import logs
from tandem.config import settings
from tandem.config.values import SIZE_EXPECTED, parse_size


class Size(click.ParamType[int]):
    """A size such as 256M, in bytes."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else parse_size(str(value))
        except ValueError:
            self.fail(f"{value} is invalid: expected {SIZE_EXPECTED}", param, ctx)


SIZE = Size()


def _given(option: int | None, setting: int) -> int:
    return setting if option is None else option


@click.command()
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option("--threads", type=click.IntRange(1, 256), help="Concurrent messages. [WORKER_THREADS]")
@click.option("--time-limit", type=click.IntRange(0), help="Stop after N seconds. [WORKER_TIME_LIMIT]")
@click.option("--memory-limit", type=SIZE, help="Stop at this memory usage, such as 256M. [WORKER_MEMORY_LIMIT]")
@click.option("--limit", type=click.IntRange(0), help="Stop after N messages. [WORKER_MESSAGE_LIMIT]")
@click.option("--failure-limit", type=click.IntRange(0), help="Stop after N failures in a row. [WORKER_FAILURE_LIMIT]")
@click.option("-v", "verbosity", count=True, help="Log more: -v INFO, -vv DEBUG, -vvv DEBUG of libraries as well.")
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

    It exits with 0 when a limit is reached (0: none), after its running messages have ended.
    """
    from tandem import registry, runtime
    from tandem.worker.main import MemoryLimitTooSmall
    from tandem.worker.main import consume as run
    from tandem.worker.recycling import Limits

    config = settings.current()
    if config.queue_transport == "sync":
        raise click.ClickException(
            "there is nothing to consume with QUEUE_TRANSPORT=sync, because the sender handles each message itself: "
            "set QUEUE_TRANSPORT=redis"
        )
    logs.configure(config.log_level, config.log_format, verbosity=verbosity)
    if config.debug_port:
        from tandem.process import debugger

        debugger.listen(config.debug_port + 1 + logs.worker_number())
    loaded = registry.load_and_verify(config)
    broker = runtime.configure(config)
    queues = queues or config.queues_of_worker(logs.worker_number())
    unknown = set(queues) - broker.get_declared_queues()
    if unknown:
        known = ", ".join(sorted(broker.get_declared_queues()))
        raise click.ClickException(f"unknown queue {', '.join(sorted(unknown))}: expected names from {known}")
    limits = Limits(
        time=_given(time_limit, config.worker_time_limit),
        memory=_given(memory_limit, config.worker_memory_limit),
        messages=_given(limit, config.worker_message_limit),
        failures=_given(failure_limit, config.worker_failure_limit),
    )
    max_concurrency = {queue: most for workload in loaded for queue, most in workload.max_concurrency(config).items()}
    threads = threads or config.worker_threads
    try:
        run(
            broker,
            queues=queues,
            threads=threads,
            limits=limits,
            drain_timeout=config.drain_timeout,
            max_concurrency=max_concurrency,
            rates=registry.rates(loaded, config),
        )
    except MemoryLimitTooSmall as error:
        raise click.ClickException(str(error)) from error
