"""Checks the options of an actor: dramatiq checks their names only."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import dramatiq
from dramatiq import JSONEncoder, get_encoder

from tandem.broker import rate
from tandem.broker.broker import Broker
from tandem.broker.limits import KEY_FUNCTIONS
from tandem.broker.unique import ON_DUPLICATE, UNTIL


class _Expected(NamedTuple):
    """What an option has to be."""

    fits: Callable[[Any], bool]
    text: str


def _number_from(lowest: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and lowest <= value < math.inf


def _whole_from(lowest: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and lowest <= value <= MOST


def _none_or(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _throws(value: Any) -> bool:
    kinds = value if isinstance(value, tuple) else (value,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


_MILLISECONDS = _Expected(_none_or(_number_from(0)), "milliseconds from 0")
# Far above what anybody means.
MOST = 1_000_000_000
_FUNCTION = _Expected(_none_or(callable), "a function")
#: dramatiq checks the names of options only.
_OPTIONS = {
    "max_retries": _Expected(_none_or(_whole_from(0)), "a whole number from 0, or None for no limit"),
    "time_limit": _Expected(
        lambda value: value is None or (type(value) in (int, float) and value > 0), "milliseconds above 0"
    ),
    "notify_shutdown": _Expected(lambda value: value is None or isinstance(value, bool), "True or False"),
    "on_retry_exhausted": _Expected(_none_or(lambda value: isinstance(value, str)), "the name of an actor"),
    "retry_delay": _MILLISECONDS,
    "min_backoff": _MILLISECONDS,
    "max_backoff": _MILLISECONDS,
    "max_age": _MILLISECONDS,
    "retry_multiplier": _Expected(_number_from(1), "a number from 1"),
    "throws": _Expected(_none_or(_throws), "a class of exceptions, or a tuple of them"),
    "retry_when": _FUNCTION,
    "on_failed": _FUNCTION,
    "on_removed": _FUNCTION,
    "expires": _Expected(_none_or(_number_from(1)), "milliseconds from 1"),
    "once": _Expected(lambda value: isinstance(value, bool), "True or False"),
    "unique": _Expected(
        lambda value: isinstance(value, bool) or callable(value), "True or a function of the arguments"
    ),
    "until": _Expected(lambda value: value in UNTIL, f"one of {', '.join(UNTIL)}"),
    "max_concurrency": _Expected(_whole_from(1), "a number from 1"),
    "rate": _Expected(rate.is_valid, rate.EXPECTED),
    "concurrency_key": _FUNCTION,
    "rate_key": _FUNCTION,
    "on_duplicate": _Expected(lambda value: value in ON_DUPLICATE, f"one of {', '.join(ON_DUPLICATE)}"),
}


def problems(actor: dramatiq.Actor[..., object], broker: Broker) -> Iterator[str]:
    """Yield what is wrong with an actor's options."""
    options = actor.options
    if type(actor.priority) is not int:
        yield f"priority={actor.priority!r}: expected a whole number"
    for name in sorted(set(options).difference(broker.actor_options)):
        near = difflib.get_close_matches(name, broker.actor_options, 1)
        advice = f"did you mean {near[0]}?" if near else "add the middleware that defines it: Workload(middleware=[…])"
        yield f"the option {name}, which no middleware knows: {advice}"
    for name, expected in _OPTIONS.items():
        if name in options and not expected.fits(options[name]):
            yield f"{name}={options[name]!r}: expected {expected.text}"
    is_async = inspect.iscoroutinefunction(inspect.unwrap(actor.fn))
    yield from _wrong_together(options, is_async=is_async)
    yield from _wrong_limits(options)
    for name in ("unique", *KEY_FUNCTIONS):
        if callable(options.get(name)) and not _takes(options[name], actor.fn):
            yield f"{name}, which does not take the arguments of the actor: {inspect.signature(actor.fn)}"
    target = options.get("on_retry_exhausted")
    if isinstance(target, str) and target not in broker.actors:
        yield f"on_retry_exhausted={target!r}: expected the name of an actor"


def _wrong_together(options: Mapping[str, Any], *, is_async: bool) -> Iterator[str]:
    if options.get("retry_delay") is not None and options.get("min_backoff") is not None:
        yield "retry_delay and min_backoff, which are two names of one option: remove one of them"
    if options.get("on_duplicate") == "replace" and options.get("until", "end") != "start":
        yield 'on_duplicate="replace" without until="start": the arguments of a message that runs cannot be replaced'
    if options.get("once") and is_async:
        yield "once, which an async actor cannot have, because its transaction belongs to a thread: use a plain def"
    if not options.get("unique") and {"until", "on_duplicate"} & set(options):
        yield "until or on_duplicate without unique: add unique=True or a function of the arguments"


def time_limit(actor: dramatiq.Actor[..., object]) -> float:
    """Return an actor's time limit in ms, 0 for none or an invalid one."""
    limit = actor.options.get("time_limit")
    return limit if limit is not None and _OPTIONS["time_limit"].fits(limit) else 0


def _takes(key: Callable[..., Any], function: Callable[..., Any]) -> bool:
    """Return whether a function of the key can be called with the arguments that the actor needs."""
    function = getattr(function, "perform", function)  # of a generic actor
    try:
        taken, parameters = inspect.signature(key), inspect.signature(function).parameters.values()
    except ValueError:
        return True  # one that is written in C
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [one for one in parameters if one.default is one.empty and one.kind not in several]
    positional = [one.name for one in needed if one.kind is not one.KEYWORD_ONLY]
    try:
        taken.bind(*positional, **{one.name: one.name for one in needed if one.kind is one.KEYWORD_ONLY})
    except TypeError:
        return False
    return True


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
