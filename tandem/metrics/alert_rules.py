"""Alert rules for Prometheus, made from the settings ALERT_…: the same conditions that the monitor knows.

Each container shows the queue's figures, so rules about the queue take the largest of all (`max without (instance)`).
https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tandem.config import values
from tandem.config.settings import Settings

Rule = dict[str, Any]

# A failure rate of only a few messages is not significant.
MIN_ENDED = 10


def groups(settings: Settings) -> dict[str, Any]:
    """Return the content of a rule file. A setting that is 0 leaves its rule out."""
    return {"groups": [{"name": "tandem", "rules": list(_rules(settings))}]}


def _rules(settings: Settings) -> Iterator[Rule]:
    interval = f"{2 * settings.alert_interval}s"
    yield _rule(
        "TandemDown",
        # The name of a container that has stopped leaves the DNS, and its target goes with it.
        'up{job="tandem"} == 0 or absent(up{job="tandem"})',
        "1m",
        "a container does not answer Prometheus: {{ $labels.instance }}",
        "docker compose ps; docker compose logs app",
        severity="critical",
    )
    yield _rule(
        "TandemRedisDown",
        "tandem_redis_up == 0",
        "1m",
        "Redis does not answer {{ $labels.instance }}: no message is accepted or handled",
        "queue health",
        severity="critical",
    )
    yield from _of_the_queue(settings, interval)
    yield from _of_containers(settings, interval)
    yield _rule(
        "TandemAlert",
        "max without (instance) (tandem_alert) == 1",
        "0s",
        "Tandem's monitor has raised the alert {{ $labels.alert }}",
        "queue health",
    )


def _of_the_queue(settings: Settings, interval: str) -> Iterator[Rule]:
    if settings.alert_queue_depth:
        yield _rule(
            "TandemQueueDepth",
            f"max without (instance) (tandem_queue_ready) > {settings.alert_queue_depth}",
            interval,
            "{{ $value }} messages wait in {{ $labels.queue }}, more than ALERT_QUEUE_DEPTH",
            "queue stats",
        )
    if settings.alert_wait:
        yield _rule(
            "TandemOldestMessage",
            f"max without (instance) (tandem_queue_oldest_seconds) > {settings.alert_wait}",
            interval,
            "a message waits in {{ $labels.queue }} for {{ $value }} s, longer than ALERT_WAIT",
            "queue stats: does any worker consume this queue?",
        )
    if settings.alert_failure_rate:
        ended = 'sum(max without (instance) (increase(tandem_messages_total{{outcome=~"{0}"}}[10m])))'
        failed, all_ = ended.format("failed"), ended.format("completed|failed")
        yield _rule(
            "TandemFailureRate",
            f"{failed} / {all_} > {settings.alert_failure_rate:g} and {all_} >= {MIN_ENDED}",
            interval,
            "{{ $value | humanizePercentage }} of the messages failed for good in 10 minutes, more than "
            "ALERT_FAILURE_RATE",
            "queue failed show --stats",
        )
    if settings.alert_worker_down and "worker" in settings.started_programs:
        # One that is lost leaves the list of workers when another one takes over its messages.
        yield _rule(
            "TandemWorkerDown",
            f"max(tandem_workers) < {settings.worker_processes}",
            f"{settings.alert_worker_down}s",
            f"{{{{ $value }}}} workers send heartbeats, and one container has {settings.worker_processes}",
            "supervisorctl status, queue logs -e",
        )
    if settings.alert_restarts:
        died = 'sum(max without (instance) (increase(tandem_worker_restarts_total{reason="died"}[10m])))'
        yield _rule(
            "TandemWorkersDie",
            f"{died} >= {settings.alert_restarts}",
            "0s",
            "workers died {{ $value }} times in 10 minutes, the limit is ALERT_RESTARTS",
            "queue logs -e",
        )


def _of_containers(settings: Settings, interval: str) -> Iterator[Rule]:
    if settings.alert_memory:
        yield _rule(
            "TandemMemory",
            f"tandem_container_memory_bytes > {settings.alert_memory}",
            interval,
            f"{{{{ $labels.instance }}}} uses {{{{ $value | humanize1024 }}}}B, more than ALERT_MEMORY="
            f"{values.show_size(settings.alert_memory)}",
            "lower WORKERS or WORKER_MEMORY_LIMIT, or raise mem_limit",
        )
    if settings.alert_disk:
        yield _rule(
            "TandemDisk",
            f"tandem_disk_used_ratio >= {settings.alert_disk:g}",
            interval,
            "the disk of {{ $labels.folder }} is {{ $value | humanizePercentage }} full, the limit is ALERT_DISK",
            "free disk space before messages are refused",
        )


def _rule(name: str, expression: str, hold: str, summary: str, what_to_do: str, *, severity: str = "warning") -> Rule:
    return {
        "alert": name,
        "expr": expression,
        "for": hold,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "what_to_do": what_to_do},
    }
