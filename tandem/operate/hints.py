"""Hints on what to type next, derived from the state of queues and workers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from tandem.operate.queue_stats import ActorState, QueueState, WorkerState
from tandem.support.escapes import escaped
from tandem.support.formatting import counted, duration


def hints(
    queues: list[QueueState],
    workers: list[WorkerState],
    actors: list[ActorState],
    declared_queues: Collection[str],
    declared_actors: Collection[str],
) -> list[str]:
    """Return a line for each problem, or for a start if nothing was ever sent; none if there is no problem."""
    lines = [*_failed(queues), *_paused(queues), *_unserved(queues, workers, declared_queues)]
    if not actors and all(_is_empty(queue) for queue in queues):
        names = ", ".join(map(escaped, sorted(declared_actors)))
        lines.append(f"next: queue send ACTOR [JSON-ARGS]  (actors: {names})")
    return lines


def _failed(queues: list[QueueState]) -> Iterator[str]:
    if failed := sum(queue.failed for queue in queues):
        yield f"next: queue failed show  ({counted(failed, 'message')} failed)"


def _paused(queues: list[QueueState]) -> Iterator[str]:
    for queue in queues:
        if queue.paused:
            yield f"next: queue resume {escaped(queue.name)}  (it is paused: {_waiting(queue)})"


def _unserved(queues: list[QueueState], workers: list[WorkerState], declared_queues: Collection[str]) -> Iterator[str]:
    """Yield the queues whose messages would wait forever, because no worker consumes them."""
    alive = [worker for worker in workers if not worker.lost]
    served = {name for worker in alive for name in worker.queues or declared_queues}
    for queue in queues:
        if queue.name in served or not (queue.ready or queue.overdue_seconds):
            continue
        name, why = escaped(queue.name), _waiting(queue)
        if not alive:
            yield f"next: supervisorctl start 'worker:*'  (no worker is running: {why})"
        elif queue.name in declared_queues:
            yield f"next: queue consume {name}, or add it to WORKER_QUEUES  (no worker consumes it: {why})"
        else:
            yield f"next: start a worker with an actor of {name}  (no actor here uses it: {why})"


def limited(queues: list[QueueState], limits: Mapping[str, Iterable[str]], of_actors: Mapping[str, str]) -> list[str]:
    """Return a line for each queue or actor whose messages wait for a limit. The limits are in words."""
    parked = [
        f"{counted(count, 'message')} of {escaped(actor)} wait{'s' if count == 1 else ''} for "
        + of_actors.get(actor, "a limit that the actor no longer has")
        for queue in queues
        for actor, count in queue.parked.items()
    ]
    return parked + [
        f"{counted(queue.ready, 'message')} of {escaped(queue.name)} may wait for {' and '.join(limits[queue.name])}"
        for queue in queues
        if queue.ready and not queue.paused and queue.name in limits
    ]


def _is_empty(queue: QueueState) -> bool:
    return not (queue.ready or queue.in_flight or queue.delayed or queue.failed)


def _waiting(queue: QueueState) -> str:
    if queue.overdue_seconds and not queue.ready:
        return f"a message of {escaped(queue.name)} has been due for {duration(queue.overdue_seconds)}"
    return f"{counted(queue.ready, 'message')} of {escaped(queue.name)} wait{'s' if queue.ready == 1 else ''}"
