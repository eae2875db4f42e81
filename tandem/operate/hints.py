"""Hints on what to type next, derived from the state of queues and workers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from tandem.operate.queue_stats import ActorState, QueueState, WorkerState
from tandem.support.escapes import escaped
from tandem.support.formatting import counted, duration


class Hint(NamedTuple):
    """A problem, and the command that helps."""

    command: str
    why: str

    def __str__(self) -> str:
        return f"next: {self.command}  ({self.why})"


def hints(
    queues: list[QueueState],
    workers: list[WorkerState],
    actors: list[ActorState],
    declared_queues: Collection[str],
    declared_actors: Collection[str],
) -> list[Hint]:
    """Return a hint for each problem, or for a start if nothing was ever sent; none if there is no problem."""
    found = [*_failed(queues), *troubles(queues, workers, declared_queues)]
    if not actors and all(_is_empty(queue) for queue in queues):
        names = ", ".join(map(escaped, sorted(declared_actors)))
        found.append(Hint("queue send ACTOR [JSON-ARGS]", f"actors: {names}"))
    return found


def troubles(queues: list[QueueState], workers: list[WorkerState], declared_queues: Collection[str]) -> list[Hint]:
    """Return a hint for each reason why messages wait that should not."""
    return [*_paused(queues), *_unserved(queues, workers, declared_queues)]


def _failed(queues: list[QueueState]) -> Iterator[Hint]:
    if failed := sum(queue.failed for queue in queues):
        yield Hint("queue failed show", f"{counted(failed, 'message')} failed")


def _paused(queues: list[QueueState]) -> Iterator[Hint]:
    for queue in queues:
        if queue.paused:
            yield Hint(f"queue resume {escaped(queue.name)}", f"{escaped(queue.name)} is paused: {_waiting(queue)}")


def _unserved(queues: list[QueueState], workers: list[WorkerState], declared_queues: Collection[str]) -> Iterator[Hint]:
    """Yield the queues whose messages would wait forever, because no worker consumes them."""
    alive = [worker for worker in workers if not worker.lost]
    served = {name for worker in alive for name in worker.queues or declared_queues}
    for queue in queues:
        if queue.name in served or not (queue.ready or queue.overdue_seconds):
            continue
        name, why = escaped(queue.name), _waiting(queue)
        if not alive:
            yield Hint("supervisorctl start 'worker:*'", f"no worker is running: {why}")
        elif queue.name in declared_queues:
            yield Hint(f"queue consume {name}, or add it to WORKER_QUEUES", f"no worker consumes it: {why}")
        else:
            yield Hint(f"start a worker with an actor of {name}", f"no actor here uses it: {why}")


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
