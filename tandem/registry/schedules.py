"""The schedules of the workloads: checked, and in the form that is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import dramatiq
from dramatiq import JSONEncoder

from tandem.broker.broker import Broker
from tandem.config import settings
from tandem.registry import conflicts
from tandem.schedules.schedule import Definition, Schedule
from tandem.workload import Workload


def schedule_definitions(workloads: Iterable[Workload]) -> list[Definition]:
    """Return the schedules of workloads that were verified."""
    return [schedule.definition() for _, schedule in _all(workloads)]


def problems(broker: Broker, workloads: Iterable[Workload]) -> Iterator[str]:
    """Yield one line for each schedule that is invalid, and for two that have one name."""
    found = list(_all(workloads))
    if found and not isinstance(dramatiq.get_encoder(), JSONEncoder):
        kind = type(dramatiq.get_encoder()).__name__
        yield f"schedules need dramatiq's JSONEncoder, but {kind} was set: remove dramatiq.set_encoder(…) or them"
    yield from conflicts.duplicates("have the schedule", [(owner, schedule.label) for owner, schedule in found])
    for owner, schedule in found:
        for problem in _problems(broker, schedule):
            yield f"the schedule {schedule.label or schedule.cron} of {owner} has {problem}"


def _problems(broker: Broker, schedule: Schedule) -> Iterator[str]:
    reasons = list(schedule.problems())
    yield from reasons
    if reasons or schedule.actor is None:
        return
    actor = broker.actors.get(schedule.actor.actor_name)
    if actor is None or actor is not schedule.actor:
        yield f"the actor {schedule.actor.actor_name}, which is not one of the workloads'"


def _all(workloads: Iterable[Workload]) -> Iterator[tuple[str, Schedule]]:
    for workload in workloads:
        chosen = workload.schedules
        for schedule in chosen(settings.current()) if callable(chosen) else chosen:
            yield workload.name, schedule
