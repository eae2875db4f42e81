"""Adds the middleware of the workloads to the broker, in their order."""

from __future__ import annotations

from dramatiq import Middleware
from dramatiq.middleware import AsyncIO

from tandem.broker.broker import Broker
from tandem.config.settings import Settings
from tandem.registry import actors
from tandem.registry.errors import LoadError
from tandem.workload import Placed, Workload


def add(broker: Broker, workloads: tuple[Workload, ...], config: Settings) -> None:
    """Add the workloads' middleware, once for each broker, and what runs async actors, if there are any.

    Raises LoadError for something that is no middleware or cannot be added.
    """
    for workload in workloads:
        if workload.name not in broker.middleware_added:
            broker.middleware_added.add(workload.name)
            _add(broker, workload, config)
    if actors.has_async(broker) and not any(isinstance(part, AsyncIO) for part in broker.middleware):
        broker.add_middleware(AsyncIO())


def _add(broker: Broker, workload: Workload, config: Settings) -> None:
    chosen = workload.middleware
    for entry in chosen(config) if callable(chosen) else chosen:
        placed = entry if isinstance(entry, Placed) else Placed(entry)
        if not isinstance(placed.middleware, Middleware):
            raise LoadError(
                [f"the middleware {entry!r} of {workload.name} is invalid: expected an instance of dramatiq.Middleware"]
            )
        try:
            broker.add_middleware(placed.middleware, before=placed.before, after=placed.after)
        except (TypeError, ValueError, AssertionError) as error:
            kind = type(placed.middleware).__name__
            raise LoadError([f"the middleware {kind} of {workload.name} cannot be added: {error}"]) from error
