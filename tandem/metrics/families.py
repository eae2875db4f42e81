"""What /metrics shows of the queue, the workers, Redis and this container, as families of prometheus_client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import redis
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from tandem.broker import keys, totals
from tandem.broker.connection import text
from tandem.metrics import instruments
from tandem.metrics.instruments import Histogram, Instrument
from tandem.operate import alert_entries
from tandem.operate.alert_entries import ALERTS
from tandem.operate.queue_stats import QueueState, WorkerState
from tandem.process import resource_usage

Totals = Mapping[str, Mapping[str, totals.Totals]]


def messages(found: Totals) -> Iterator[Metric]:
    """Yield how many messages ended with which outcome; their times are written by histograms.py."""
    family = CounterMetricFamily(
        "tandem_messages", "Attempts at messages that ended, by their outcome.", labels=("queue", "actor", "outcome")
    )
    for queue, actors in found.items():
        for actor, total in actors.items():
            for outcome in totals.OUTCOMES:
                family.add_metric((queue, actor, outcome), total.outcomes.get(outcome, 0))
    yield family


def queues(states: Collection[QueueState]) -> Iterator[Metric]:
    """Yield what waits, runs and has failed in each queue now."""
    for name, about, value in (
        ("ready", "Messages that could start now, those that wait for a limit of their actor included.", "ready"),
        ("delayed", "Messages that are not due yet, retries included.", "delayed"),
        ("in_flight", "Messages that a worker has claimed.", "in_flight"),
        ("failed", "Messages that failed for good and are kept.", "failed"),
        ("paused", "Whether the queue is paused.", "paused"),
        ("oldest_seconds", "How long the next ready message has been waiting.", "oldest_seconds"),
    ):
        family = GaugeMetricFamily(f"tandem_queue_{name}", about, labels=("queue",))
        for state in states:
            family.add_metric((state.name,), float(getattr(state, value)))
        yield family


def workers(states: Collection[WorkerState]) -> Iterator[Metric]:
    """Yield what each worker of every container has reported last."""
    yield GaugeMetricFamily(
        "tandem_workers", "Workers that send heartbeats.", value=sum(not state.lost for state in states)
    )
    up = GaugeMetricFamily("tandem_worker_up", "Whether a worker sends heartbeats.", labels=("worker",))
    memory = GaugeMetricFamily("tandem_worker_memory_bytes", "Resident memory of a worker.", labels=("worker",))
    uptime = GaugeMetricFamily(
        "tandem_worker_uptime_seconds", "How long a worker has been running.", labels=("worker",)
    )
    running = GaugeMetricFamily("tandem_worker_running", "Messages that a worker runs now.", labels=("worker",))
    for state in states:
        up.add_metric((state.name,), float(not state.lost))
        memory.add_metric((state.name,), state.memory_bytes)
        uptime.add_metric((state.name,), state.uptime_seconds)
        running.add_metric((state.name,), len(state.running))
    yield from (up, memory, uptime, running)


def restarts(client: redis.Redis) -> Iterator[Metric]:
    """Yield how often workers stopped, by reason. Raises redis.RedisError."""
    family = CounterMetricFamily("tandem_worker_restarts", "Workers that stopped, by reason.", labels=("reason",))
    for reason, count in sorted(client.hgetall(keys.RESTARTS).items()):
        family.add_metric((text(reason),), int(count))
    yield family


def alerts(client: redis.Redis) -> Iterator[Metric]:
    """Yield which alerts are raised, for this container and for the queue. Raises redis.RedisError."""
    raised = alert_entries.raised(client)
    family = GaugeMetricFamily("tandem_alert", "Whether an alert is raised.", labels=("alert",))
    for name in sorted({*ALERTS, *raised}):
        family.add_metric((name,), float(name in raised))
    yield family


def redis_server(client: redis.Redis) -> Iterator[Metric]:
    """Yield memory and append-only file of Redis; nothing if it may not be asked. Raises redis.RedisError."""
    yield GaugeMetricFamily("tandem_redis_up", "Whether Redis answers.", value=1)
    try:
        info: Mapping[str, Any] = client.info()
    except redis.ResponseError:
        return
    for name, about, value in (
        ("memory_bytes", "Memory that Redis uses.", info.get("used_memory")),
        ("memory_max_bytes", "Most memory of Redis; 0 without a limit.", info.get("maxmemory")),
        ("aof_bytes", "Size of the append-only file.", info.get("aof_current_size")),
        ("aof_rewriting", "Whether the append-only file is being rewritten.", info.get("aof_rewrite_in_progress")),
        ("clients", "Connections to Redis.", info.get("connected_clients")),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"tandem_redis_{name}", about, value=float(value))
    if "aof_last_write_status" in info:
        yield GaugeMetricFamily(
            "tandem_redis_aof_ok",
            "Whether the last write of the append-only file succeeded.",
            value=float(info["aof_last_write_status"] == "ok"),
        )


def container() -> Iterator[Metric]:
    """Yield memory and disks of this container."""
    yield GaugeMetricFamily(
        "tandem_container_memory_bytes",
        "Memory of this container, as docker stats counts.",
        value=resource_usage.memory(),
    )
    used = GaugeMetricFamily("tandem_disk_used_ratio", "Used share of the disk of a folder.", labels=("folder",))
    free = GaugeMetricFamily("tandem_disk_free_bytes", "Free bytes on the disk of a folder.", labels=("folder",))
    for folder, share in resource_usage.disks().items():
        used.add_metric((folder,), share)
    for folder, left in resource_usage.free().items():
        free.add_metric((folder,), left)
    yield from (used, free)


def shared(client: redis.Redis, found: Collection[Instrument]) -> Iterator[Metric]:
    """Yield the metrics that all processes count together. Raises redis.RedisError."""
    for instrument in found:
        sums = instrument.read(client)
        if isinstance(instrument, Histogram):
            yield _histogram(instrument, sums)
        else:
            family = CounterMetricFamily(instrument.name, instrument.about, labels=instrument.labels)
            for series, parts in sorted(sums.items()):
                family.add_metric(series, parts.get("", 0))
            yield family


def _histogram(instrument: Histogram, sums: Mapping[instruments.Series, Mapping[str, float]]) -> Metric:
    family = HistogramMetricFamily(instrument.name, instrument.about, labels=instrument.labels)
    edges = [*(repr(float(edge)) for edge in instrument.buckets), "+Inf"]
    for series, parts in sorted(sums.items()):
        count, buckets = 0.0, []
        for number, edge in enumerate(edges, start=1):
            count += parts.get(str(number), 0)
            buckets.append((edge, count))
        family.add_metric(series, buckets, parts.get("sum", 0))
    return family


def dramatiq(
    found: Totals, states: Collection[QueueState], running: Collection[WorkerState], queue_of: Mapping[str, str]
) -> Iterator[Metric]:
    """Yield the counts under the names of dramatiq's own middleware, but for the durations (see histograms.py)."""
    labels = ("queue_name", "actor_name")
    for name, about, outcomes in (
        ("messages", "The total number of messages processed.", totals.OUTCOMES),
        ("message_errors", "The total number of errored messages.", ("retried", "failed")),
        ("message_retries", "The total number of retried messages.", ("retried",)),
        ("message_rejects", "The total number of dead-lettered messages.", ("failed",)),
    ):
        family = CounterMetricFamily(f"dramatiq_{name}", about, labels=labels)
        for queue, actors in found.items():
            for actor, total in actors.items():
                family.add_metric((queue, actor), sum(total.outcomes.get(outcome, 0) for outcome in outcomes))
        yield family
    progress = GaugeMetricFamily("dramatiq_messages_inprogress", "The number of messages in progress.", labels=labels)
    actors_running = Counter(message.actor for worker in running for message in worker.running)
    for actor, count in sorted(actors_running.items()):
        progress.add_metric((queue_of.get(actor, ""), actor), count)
    yield progress
    delayed = GaugeMetricFamily(
        "dramatiq_delayed_messages_inprogress", "The number of delayed messages.", labels=labels
    )
    for state in states:
        delayed.add_metric((state.name, ""), state.delayed)
    yield delayed


def away() -> Iterator[Metric]:
    """Yield what is known while Redis does not answer."""
    yield GaugeMetricFamily("tandem_redis_up", "Whether Redis answers.", value=0)
    yield from container()
