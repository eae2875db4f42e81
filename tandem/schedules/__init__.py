"""Schedules: messages that are sent at certain times. For those that are added at run time: `add` and `remove`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tandem.schedules.schedule import Schedule

if TYPE_CHECKING:
    from tandem.schedules.store import ScheduleStore

__all__ = ["Schedule", "add", "remove"]


def add(schedule: Schedule) -> None:
    """Add a schedule, or replace the one with its name. It begins with the first tick after now.

    Raises ValueError if it is invalid, TooManySchedules, and redis.RedisError.
    """
    if reasons := list(schedule.problems()):
        raise ValueError("; ".join(reasons))
    _store().add(schedule.definition())


def remove(name: str) -> bool:
    """Remove a schedule that was added; return whether there was one. Raises redis.RedisError."""
    return _store().remove(name)


def _store() -> ScheduleStore:
    import dramatiq

    from tandem.broker.broker import Broker
    from tandem.schedules.store import ScheduleStore

    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        raise RuntimeError(f"schedules need Tandem's broker, but {type(broker).__name__} was set")
    return ScheduleStore(broker.client)
