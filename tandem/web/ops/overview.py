"""What the first page shows: health in a sentence, alerts, queues, workers and schedules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Lock

import redis

from tandem.broker import statistics
from tandem.broker.connection import clock
from tandem.operate import alert_entries, queue_stats
from tandem.operate.alert_entries import AlertRecord
from tandem.operate.hints import troubles
from tandem.operate.queue_stats import QueueState, WorkerState

MINUTES = 60


@dataclass(frozen=True)
class QueueRow:
    """A queue, and how many messages of its actors ended: in the last minute, and by minute, oldest first."""

    state: QueueState
    a_minute: int
    hour: tuple[int, ...]

    @property
    def line(self) -> str:
        """The points of the hour as SVG has them, 60 wide and 20 high."""
        most = max(1, *self.hour)
        return " ".join(f"{x},{20 - round(18 * count / most, 1):g}" for x, count in enumerate(self.hour))


@dataclass(frozen=True)
class Overview:
    """The first page. sentence: how it is, and what to type when it is not well."""

    now: float
    sentence: str
    command: str
    is_well: bool
    alerts: list[AlertRecord]
    queues: list[QueueRow]
    workers: list[WorkerState]


class History:
    """How many messages ended in each of the last minutes, by actor; minutes that are over are read once."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._minutes: dict[int, Mapping[str, int]] = {}
        self._lock = Lock()

    def last_hour(self, now: float) -> list[Mapping[str, int]]:
        """Return the minutes of the last hour, oldest first. Raises redis.RedisError."""
        current = int(now) // 60
        wanted = range(current - MINUTES + 1, current + 1)
        with self._lock:
            # The last one may have been read before it was over.
            fresh = [minute for minute in wanted if minute not in self._minutes or minute >= current - 1]
            self._minutes |= statistics.ended_in_minutes(self._redis, fresh)
            self._minutes = {minute: self._minutes[minute] for minute in wanted}
            return [self._minutes[minute] for minute in wanted]


def overview(client: redis.Redis, history: History, queue_of: Mapping[str, str], declared: Collection[str]) -> Overview:
    """Return the first page. queue_of: the queues of the declared actors. Raises redis.RedisError."""
    now = clock(client)
    states, workers = queue_stats.queues(client, declared), queue_stats.workers(client)
    alerts = list(alert_entries.raised(client).values())
    sentence, command = _health(alerts, states, workers, declared)
    hour, minute = history.last_hour(now), _last_minute(client, now, queue_of)
    rows = [
        QueueRow(state, minute.get(state.name, 0), tuple(_of_queue(counts, state.name, queue_of) for counts in hour))
        for state in states
    ]
    return Overview(now, sentence or "All is well.", command, not sentence, alerts, rows, workers)


def _health(
    alerts: list[AlertRecord], states: list[QueueState], workers: list[WorkerState], declared: Collection[str]
) -> tuple[str, str]:
    """Return the first thing that is not well, and what to type; two empty texts if all is."""
    if alerts:
        text, _, command = alerts[0].text.rpartition(": ")
        return (text, command) if text else (alerts[0].text, "queue health")
    for hint in troubles(states, workers, declared):
        return f"{hint.why}.", hint.command
    if lost := [worker for worker in workers if worker.lost]:
        return f"The worker {lost[0].name} sends no heartbeats.", "queue stats"
    return "", ""


def _last_minute(client: redis.Redis, now: float, queue_of: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for actor, counts in statistics.window(client, statistics.MINUTE, now).items():
        queue = queue_of.get(actor, "")
        found[queue] = found.get(queue, 0) + counts.completed + counts.retried + counts.failed
    return found


def _of_queue(counts: Mapping[str, int], queue: str, queue_of: Mapping[str, str]) -> int:
    return sum(count for actor, count in counts.items() if queue_of.get(actor) == queue)
