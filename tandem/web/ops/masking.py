"""Arguments as they may be shown: without those that OPS_HIDDEN_ARGUMENTS names, and not endlessly long."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

from dramatiq import Message

from tandem.operate.arguments import signature

HIDDEN = "••••••"
MOST_SHOWN = 20_000
MOST_DEEP = 20


def arguments(message: Message[Any], function: Callable[..., Any] | None, hidden: Collection[str]) -> str:
    """Return the arguments as JSON, by the names of the parameters.

    Those whose names are not known could be hidden ones, so they are not shown: of an actor that is not declared here,
    or that takes any arguments.
    """
    named = dict(_named(message, function, bool(hidden)))
    text = json.dumps(_masked(named, frozenset(hidden), 0), ensure_ascii=False, indent=2, default=repr)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n… {len(text) - MOST_SHOWN:,} more characters"


def _named(message: Message[Any], function: Callable[..., Any] | None, cautious: bool) -> Iterator[tuple[str, Any]]:
    names: list[str] = []
    if function is not None:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = signature(function).parameters.values()
        names = [parameter.name for parameter in parameters if parameter.kind in kinds]
    for number, value in enumerate(message.args):
        if number < len(names):
            yield names[number], value
        else:
            yield str(number), HIDDEN if cautious else value
    yield from message.kwargs.items()


def _masked(value: Any, hidden: frozenset[str], depth: int) -> Any:
    if depth > MOST_DEEP:
        return "…"
    if isinstance(value, dict):
        # A message within a message, as `on_retry_exhausted` gets it, has arguments without names.
        unnamed = {"args"} if hidden and "actor_name" in value else set()
        return {
            str(name): HIDDEN if str(name) in hidden | unnamed else _masked(one, hidden, depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_masked(one, hidden, depth + 1) for one in value]
    return value
