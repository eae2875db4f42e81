"""What the views need of the queue: created at the first request, so that nobody pays for a page that is not used."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from tandem import registry, runtime
from tandem.broker.broker import Broker
from tandem.broker.connection import connect
from tandem.config.settings import Settings
from tandem.schedules.listing import described
from tandem.schedules.store import ScheduleStore
from tandem.web.ops import overview
from tandem.web.ops.actions import Desk
from tandem.workload import Workload


class Ops:
    """The queue, workers and schedules of this application."""

    def __init__(self, settings: Settings, workloads: tuple[Workload, ...]) -> None:
        self.settings = settings
        self._workloads = workloads

    @cached_property
    def broker(self) -> Broker:
        """The broker of this process."""
        return runtime.configure(self.settings)

    @cached_property
    def history(self) -> overview.History:
        """The minutes of the last hour."""
        return overview.History(connect(self.settings))

    @property
    def queue_of(self) -> dict[str, str]:
        """The queues of the declared actors."""
        return {actor.actor_name: actor.queue_name for actor in self.broker.actors.values()}

    @cached_property
    def desk(self) -> Desk:
        """What actions need."""
        return Desk(self.broker, self.schedules)

    def schedules(self) -> Mapping[str, Any]:
        """Return all schedules by name. Raises redis.RedisError."""
        added = ScheduleStore(self.broker.client).added()
        own = registry.schedule_definitions(self._workloads)
        return {definition.name: definition for definition in (*added, *own)}

    def overview(self) -> overview.Overview:
        """Return the first page. Raises redis.RedisError."""
        return overview.overview(self.broker.client, self.history, self.queue_of, self.broker.get_declared_queues())

    def described_schedules(self) -> list[dict[str, Any]]:
        """Return what is shown of the schedules. Raises redis.RedisError."""
        return list(described(ScheduleStore(self.broker.client), self.schedules().values(), self.broker.actors))
