"""The rates of queues that workloads declare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tandem.broker import rate
from tandem.broker.rate import Rate
from tandem.config.settings import Settings
from tandem.registry import conflicts
from tandem.workload import Workload


def rates(workloads: Iterable[Workload], config: Settings) -> dict[str, Rate]:
    """Return the rate of each queue that has one. Raises ValueError; the workloads are verified."""
    return {queue: rate.parse(text) for load in workloads for queue, text in _declared(load, config).items()}


def problems(workloads: Iterable[Workload], config: Settings, queues: set[str]) -> Iterator[str]:
    """Yield one line for each rate that is invalid, and for a queue with two. `queues`: those that actors name."""
    declared = [(load.name, queue, text) for load in workloads for queue, text in _declared(load, config).items()]
    yield from conflicts.duplicates("limit the rate of the queue", [(name, queue) for name, queue, _ in declared])
    for name, queue, text in declared:
        if queue not in queues:
            yield f"{name} limits the rate of {queue}, which is no queue: expected one of {', '.join(sorted(queues))}"
        try:
            rate.parse(text)
        except ValueError as error:
            yield f"{name} limits the queue {queue}: {error}"


def _declared(workload: Workload, config: Settings) -> Mapping[str, str]:
    return workload.rates(config) if callable(workload.rates) else workload.rates
