"""Verifies that the declared actors can run: one line for each that cannot, before the first message."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

import dramatiq
from dramatiq.middleware import AsyncIO

from tandem.broker.broker import Broker
from tandem.config.environment import application
from tandem.config.settings import Settings
from tandem.registry import places

#: The minimum of each numeric option, and its description.
_NUMBERS = {
    "max_retries": (0, "a number from 0, or None for no limit"),
    "retry_delay": (0, "milliseconds from 0"),
    "retry_multiplier": (1, "a number from 1"),
}


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
    runs_async = any(isinstance(part, AsyncIO) for part in broker.middleware)
    for actor in broker.actors.values():
        where = f"{places.of_function(actor.fn)}: the actor {actor.actor_name}"
        yield from (f"{where} has {problem}" for problem in _wrong_numbers(actor.options))
        limit = (actor.options.get("time_limit") or 0) / 1000
        if limit > config.message_time_limit:
            yield (
                f"{where} may run for {limit:g} s, but a stop waits for only {config.message_time_limit} s: raise "
                "MESSAGE_TIME_LIMIT (and STOP_GRACE_PERIOD), or lower the actor's time_limit"
            )
        if _is_async(actor.fn) and not runs_async:
            yield (
                f"{where} is async, but no event loop runs it: write it with `def`, or add "
                "dramatiq.middleware.AsyncIO() to the broker"
            )


def _wrong_numbers(options: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with an actor's numeric options; dramatiq only checks the names of options."""
    for name, (lowest, expected) in _NUMBERS.items():
        value = options.get(name, lowest)
        may_be_none = name == "max_retries" and value is None
        if not may_be_none and not (type(value) in (int, float) and value >= lowest):  # type: ignore[operator]
            yield f"{name}={value!r}: expected {expected}"


def _foreign_actors(broker: Broker) -> list[dramatiq.Actor[..., object]]:
    """Return the actors in the loaded modules that were declared on another broker, each once."""
    modules = [vars(module) for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    found = [value for names in modules for value in list(names.values()) if type(value) is dramatiq.Actor]
    return list({id(actor): actor for actor in found if actor.broker is not broker}.values())


def _is_async(function: object) -> bool:
    # dramatiq wraps a coroutine function in a function that waits for it.
    return inspect.iscoroutinefunction(inspect.unwrap(function))  # type: ignore[arg-type]


def _where_broker_is_set() -> str:
    place = places.of_text("set_broker(")
    return f"{place}: " if place else ""
