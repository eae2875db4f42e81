"""The tables of `queue stats`: queues, workers, actors."""

from __future__ import annotations

from itertools import chain

from tandem.broker.statistics import Counts, LatencySummary
from tandem.operate.queue_stats import ActorState, QueueState, RunningMessage, WorkerState
from tandem.support.escapes import escaped
from tandem.support.formatting import NOTHING, duration, memory, table


def tables(queues: list[QueueState], workers: list[WorkerState], actors: list[ActorState]) -> list[list[str]]:
    """Return the lines of each table, or a sentence if there is nothing to show."""
    return [
        _queues(queues) if queues else ["no queue is known"],
        _workers(workers) if workers else ["no worker is running"],
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
            f"lost for {duration(worker.silent_seconds)}" if worker.lost else worker.state,
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
    titles = ["ACTOR", "LAST", "COMPLETED", "RETRIED", "FAILED", "WAIT MEAN", "WAIT P95", "RUN MEAN", "RUN P95"]
    untimed = [""] * 4
    rows: list[list[str]] = []
    for actor in actors:
        rows += [
            [escaped(actor.name), "minute", *_counts(actor.minute), *untimed],
            ["", "hour", *_counts(actor.hour), *_latency_summary(actor.wait), *_latency_summary(actor.run)],
            ["", "day", *_counts(actor.day), *untimed],
        ]
    return table(titles, "<<>>>>>>>", rows)


def _counts(counts: Counts) -> list[str]:
    return [f"{count:,}" for count in (counts.completed, counts.retried, counts.failed)]


def _latency_summary(latency: LatencySummary) -> list[str]:
    if not latency.count:
        return [NOTHING, NOTHING]
    return [duration(latency.mean_ms / 1000), duration(latency.p95_ms / 1000)]


def _age(seconds: float) -> str:
    return duration(seconds) if seconds else NOTHING
