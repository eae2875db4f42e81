"""Verifies that the declared actors can run: one line for each that cannot, before the first message."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import dramatiq
from dramatiq import JSONEncoder, get_encoder

from tandem.broker import rate
from tandem.broker.broker import Broker
from tandem.broker.unique import ON_DUPLICATE, UNTIL
from tandem.config.environment import application
from tandem.config.settings import Settings
from tandem.registry import places


class _Expected(NamedTuple):
    """What an option has to be."""

    fits: Callable[[Any], bool]
    text: str


def _number_from(lowest: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and value >= lowest


def _none_or(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _throws(value: Any) -> bool:
    kinds = value if isinstance(value, tuple) else (value,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


_MILLISECONDS = _Expected(_none_or(_number_from(0)), "milliseconds from 0")
_FUNCTION = _Expected(_none_or(callable), "a function")
#: dramatiq checks the names of options only.
_OPTIONS = {
    "max_retries": _Expected(_none_or(_number_from(0)), "a number from 0, or None for no limit"),
    "retry_delay": _MILLISECONDS,
    "min_backoff": _MILLISECONDS,
    "max_backoff": _MILLISECONDS,
    "max_age": _MILLISECONDS,
    "retry_multiplier": _Expected(_number_from(1), "a number from 1"),
    "throws": _Expected(_none_or(_throws), "a class of exceptions, or a tuple of them"),
    "retry_when": _FUNCTION,
    "on_failed": _FUNCTION,
    "on_removed": _FUNCTION,
    "expires": _MILLISECONDS,
    "unique": _Expected(
        lambda value: isinstance(value, bool) or callable(value), "True or a function of the arguments"
    ),
    "until": _Expected(lambda value: value in UNTIL, f"one of {', '.join(UNTIL)}"),
    "max_concurrency": _Expected(lambda value: type(value) is int and value > 0, "a number from 1"),
    "rate": _Expected(rate.is_valid, rate.EXPECTED),
    "concurrency_key": _FUNCTION,
    "rate_key": _FUNCTION,
    "on_duplicate": _Expected(lambda value: value in ON_DUPLICATE, f"one of {', '.join(ON_DUPLICATE)}"),
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
    for actor in broker.actors.values():
        where = f"{places.of_function(actor.fn)}: the actor {actor.actor_name}"
        yield from (f"{where} has {problem}" for problem in _wrong_options(actor, broker))
        limit = (actor.options.get("time_limit") or 0) / 1000
        if limit > config.message_time_limit:
            yield (
                f"{where} may run for {limit:g} s, but a stop waits for only {config.message_time_limit} s: raise "
                "MESSAGE_TIME_LIMIT (and STOP_GRACE_PERIOD), or lower the actor's time_limit"
            )


def _wrong_options(actor: dramatiq.Actor[..., object], broker: Broker) -> Iterator[str]:
    """Yield what is wrong with an actor's options."""
    options = actor.options
    for name in sorted(set(options).difference(broker.actor_options)):
        near = difflib.get_close_matches(name, broker.actor_options, 1)
        advice = f"did you mean {near[0]}?" if near else "add the middleware that defines it: Workload(middleware=[…])"
        yield f"the option {name}, which no middleware knows: {advice}"
    for name, expected in _OPTIONS.items():
        if name in options and not expected.fits(options[name]):
            yield f"{name}={options[name]!r}: expected {expected.text}"
    if options.get("retry_delay") is not None and options.get("min_backoff") is not None:
        yield "retry_delay and min_backoff, which are two names of one option: remove one of them"
    if options.get("on_duplicate") == "replace" and options.get("until", "end") != "start":
        yield 'on_duplicate="replace" without until="start": the arguments of a message that runs cannot be replaced'
    if not options.get("unique") and {"until", "on_duplicate"} & set(options):
        yield "until or on_duplicate without unique: add unique=True or a function of the arguments"
    yield from _wrong_limits(options)
    target = options.get("on_retry_exhausted")
    if target and target not in broker.actors:
        yield f"on_retry_exhausted={target!r}: expected the name of an actor"


def _wrong_limits(options: Mapping[str, Any]) -> Iterator[str]:
    limited, concurrency_key, rate_key = (
        options.get("max_concurrency") and options.get("rate"),
        options.get("concurrency_key"),
        options.get("rate_key"),
    )
    if concurrency_key and not options.get("max_concurrency"):
        yield "concurrency_key without max_concurrency: add how many messages with one key may run at the same time"
    if rate_key and not options.get("rate"):
        yield "rate_key without rate: add how many messages with one key may start in a time, such as 10/s"
    if limited and concurrency_key is not rate_key:
        yield (
            "max_concurrency and rate with different keys: use one function for both, or put one of the limits on the "
            "queue with Workload(max_concurrency=…) or Workload(rates=…)"
        )
    if (options.get("max_concurrency") or options.get("rate")) and not isinstance(get_encoder(), JSONEncoder):
        yield f"a limit, which needs messages in JSON, but the encoder is {type(get_encoder()).__name__}"


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
