"""The tables of `queue stats`: queues, workers, actors."""

from __future__ import annotations

from itertools import chain

from app.operations.commands.display import NOTHING, duration, memory, table
from app.operations.commands.terminal import escaped
from app.queueing.overview import ActorState, QueueState, RunningMessage, WorkerState
from app.queueing.statistics import Counts, Spread


def tables(queues: list[QueueState], workers: list[WorkerState], actors: list[ActorState]) -> list[list[str]]:
    """The lines of each table, or a sentence where there is nothing to show."""
    return [
        _queues(queues) if queues else ["no queue is known"],
        _workers(workers) if workers else ["no worker runs"],
        _actors(actors) if actors else ["no message has ended in the last day"],
    ]


def _queues(queues: list[QueueState]) -> list[str]:
    titles = ["QUEUE", "READY", "OLDEST", "IN FLIGHT", "DELAYED", "OVERDUE", "FAILED", ""]
    rows = [
        [
            escaped(queue.name),
            f"{queue.ready:,}",
            _age(queue.oldest_seconds),
            f"{queue.in_flight:,}",
            f"{queue.delayed:,}",
            _age(queue.overdue_seconds),
            f"{queue.failed:,}",
            "paused" if queue.paused else "",
        ]
        for queue in queues
    ]
    return table(titles, "<>>>>>><", rows)


def _workers(workers: list[WorkerState]) -> list[str]:
    titles = ["WORKER", "STATE", "UPTIME", "ENDED", "MEMORY", "THREADS", "QUEUES"]
    rows = [
        [
            escaped(worker.name),
            f"silent for {duration(worker.silent_seconds)}" if worker.lost else worker.state,
            duration(worker.uptime_seconds),
            f"{worker.ended:,}",
            memory(worker.memory_bytes),
            str(worker.threads),
            ", ".join(map(escaped, worker.queues)),
        ]
        for worker in workers
    ]
    head, *lines = table(titles, "<<>>>><", rows)
    blocks = [[line, *map(_running, worker.running)] for line, worker in zip(lines, workers, strict=True)]
    return [head, *chain.from_iterable(blocks)]


def _running(message: RunningMessage) -> str:
    stuck = ", stuck" if message.stuck else ""
    return f"  {escaped(message.actor)} {escaped(message.message_id)} for {duration(message.seconds)}{stuck}"


def _actors(actors: list[ActorState]) -> list[str]:
    titles = ["ACTOR", "LAST", "HANDLED", "RETRIED", "FAILED", "WAIT MEAN", "WAIT P95", "RUN MEAN", "RUN P95"]
    untimed = [""] * 4
    rows: list[list[str]] = []
    for actor in actors:
        rows += [
            [escaped(actor.name), "minute", *_counts(actor.minute), *untimed],
            ["", "hour", *_counts(actor.hour), *_spread(actor.wait), *_spread(actor.run)],
            ["", "day", *_counts(actor.day), *untimed],
        ]
    return table(titles, "<<>>>>>>>", rows)


def _counts(counts: Counts) -> list[str]:
    return [f"{count:,}" for count in (counts.handled, counts.retried, counts.failed)]


def _spread(spread: Spread) -> list[str]:
    if not spread.count:
        return [NOTHING, NOTHING]
    return [duration(spread.mean_ms / 1000), duration(spread.p95_ms / 1000)]


def _age(seconds: float) -> str:
    return duration(seconds) if seconds else NOTHING
