"""Verifies that the declared actors can run: one line for each that cannot, before the first message."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import ModuleType

import dramatiq

from tandem.broker.broker import Broker
from tandem.config.environment import application
from tandem.config.settings import Settings
from tandem.registry import options, places


def problems(broker: Broker, config: Settings) -> Iterator[str]:
    """Yield one line for each actor that cannot run, and for anything that prevents all from running."""
    current = dramatiq.get_broker()
    if current is not broker:
        name = f"{type(current).__module__}.{type(current).__name__}"
        yield (
            f"{_where_broker_is_set()}another broker was set: {name} instead of Tandem's: remove "
            "dramatiq.set_broker(…) from your modules; REDIS_URL sets where the queue is"
        )
        return
    if not broker.actors:
        yield (
            "no workload has an actor: declare one with @dramatiq.actor and name its workload in "
            f"{application()}/__init__.py"
        )
    for actor in _foreign_actors(broker):
        yield (
            f"{places.of_function(actor.fn)}: the actor {actor.actor_name} belongs to another broker, and no worker "
            "here runs it: remove broker=… from @dramatiq.actor"
        )
    for actor in broker.actors.values():
        where = f"{places.of_function(actor.fn)}: the actor {actor.actor_name}"
        yield from (f"{where} has {problem}" for problem in options.problems(actor, broker))
        limit = options.time_limit(actor) / 1000
        if limit > config.message_time_limit:
            yield (
                f"{where} may run for {limit:g} s, but a stop waits for only {config.message_time_limit} s: raise "
                "MESSAGE_TIME_LIMIT (and STOP_GRACE_PERIOD), or lower the actor's time_limit"
            )


def _foreign_actors(broker: Broker) -> list[dramatiq.Actor[..., object]]:
    """Return the actors in the loaded modules that were declared on another broker, each once."""
    modules = [vars(module) for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    found = [value for names in modules for value in list(names.values()) if type(value) is dramatiq.Actor]
    return list({id(actor): actor for actor in found if actor.broker is not broker}.values())


def has_async(broker: Broker) -> bool:
    """Return whether an actor is a coroutine function, for which an event loop has to run."""
    # dramatiq wraps a coroutine function in a function that waits for it.
    return any(inspect.iscoroutinefunction(inspect.unwrap(actor.fn)) for actor in broker.actors.values())


def _where_broker_is_set() -> str:
    place = places.of_text("set_broker(")
    return f"{place}: " if place else ""
