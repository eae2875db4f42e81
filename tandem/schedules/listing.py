"""What people see of schedules: when each is due, how its last message ended."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from tandem.schedules.schedule import Definition
from tandem.schedules.store import ScheduleStore, overdue
from tandem.support.times import iso


def described(
    store: ScheduleStore, definitions: Iterable[Definition], actors: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Yield what is shown of each schedule, by name; times in seconds since 1970. Raises redis.RedisError.

    actors: those that are declared here.
    """
    from tandem.schedules import ticks

    definitions = sorted(definitions, key=lambda definition: definition.name)
    states, now = store.states(definition.name for definition in definitions), store.now()
    late = overdue(definitions, states, now)
    for definition in definitions:
        state = states[definition.name]
        yield {
            "name": definition.name,
            "when": ticks.explained(definition),
            "actor": definition.actor,
            "queue": definition.queue,
            "next": next(ticks.after(definition, now), None),
            "succeeded_at": float(state["succeeded_at"]) if "succeeded_at" in state else None,
            "took": float(state["took"]) if "took" in state else None,
            "overlaps": int(state.get("overlaps", 0)),
            "state": _state(definition, state, late, actors),
        }


def _state(definition: Definition, state: dict[str, str], late: dict[str, str], actors: Collection[str]) -> str:
    if definition.actor not in actors:
        return f"waits: there is no actor {definition.actor}"
    if "paused" in state:
        return "paused"
    if definition.name in late:
        return late[definition.name]
    if float(state.get("failed_at", 0)) > float(state.get("succeeded_at", 0)):
        return f"failed {iso(float(state['failed_at']))}: {state.get('error', '')}"
    return "ok" if "tick" in state else f"new since {iso(time.time())}"
