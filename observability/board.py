#!/usr/bin/env python3
"""Makes the board for Grafana: observability/grafana/dashboards/tandem.json, with Grafana's own SDK.

Usage: observability/board.py [--check]     --check: only say whether the file is up to date
From top to bottom it answers: is it well, what waits, what fails, how long do things take, what do workers use.
Every container shows the queue's figures, so each query takes the largest of all: max without (instance).
"""

from __future__ import annotations

import sys
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row, ThresholdsConfig
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

FILE = Path(__file__).parent / "grafana" / "dashboards" / "tandem.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
WIDTH, HALF, THIRD = 24, 12, 8

_OVER_5_MINUTES = "[5m]"


def largest(selector: str) -> str:
    """Return the figure of the queue, which each container shows."""
    return f"max without (instance) ({selector})"


def rate(counter: str, *by: str) -> str:
    """Return how many a second, by labels."""
    return f"sum by ({', '.join(by)}) (max without (instance) (rate({counter}{_OVER_5_MINUTES})))"


def quantile(share: float, histogram: str, *by: str) -> str:
    """Return the time that a share of the messages did not exceed."""
    buckets = f"max without (instance) (rate({histogram}_bucket{_OVER_5_MINUTES}))"
    return f"histogram_quantile({share}, sum by ({', '.join((*by, 'le'))}) ({buckets}))"


def figure(title: str, query: str, about: str, *, unit: str = "short", bad_from: float | None = None) -> stat.Panel:
    """Return one number; it is red from `bad_from` on."""
    panel = stat.Panel().title(title).description(about).unit(unit).datasource(SOURCE).height(4).span(4)
    if bad_from is not None:
        steps = [Threshold(value=None, color="green"), Threshold(value=bad_from, color="red")]
        panel = panel.thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    return panel.with_target(prometheus.Dataquery().expr(query).datasource(SOURCE).instant())


def curve(
    title: str, about: str, *queries: tuple[str, str], unit: str = "short", width: int = HALF
) -> timeseries.Panel:
    """Return curves over time. queries: each with the name of its curves."""
    panel = timeseries.Panel().title(title).description(about).unit(unit).datasource(SOURCE).height(8).span(width)
    panel = panel.min(0).fill_opacity(8)
    for query, name in queries:
        panel = panel.with_target(prometheus.Dataquery().expr(query).legend_format(name).datasource(SOURCE))
    return panel


def board() -> Dashboard:
    """Return the whole board."""
    made = dashboard.Dashboard("Tandem").uid("tandem").tags(["tandem"]).refresh("15s").time("now-1h", "now").readonly()
    for row, panels in _rows():
        made = made.with_row(Row(row))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _rows() -> list[tuple[str, list[stat.Panel | timeseries.Panel]]]:
    messages, failed = "tandem_messages_total", 'tandem_messages_total{outcome="failed"}'
    return [
        (
            "Is it well?",
            [
                figure("Alerts", f"sum({largest('tandem_alert')})", "Alerts that the monitor has raised.", bad_from=1),
                figure("Containers", 'sum(up{job="tandem"})', "Containers that answer."),
                figure("Workers", largest("tandem_workers"), "Workers that send heartbeats."),
                figure("Waiting", f"sum({largest('tandem_queue_ready')})", "Messages that could start now."),
                figure("Failed, kept", f"sum({largest('tandem_queue_failed')})", "queue failed show", bad_from=1),
                figure("Handled a second", f"sum({rate(messages, 'outcome')})", "Attempts that ended.", unit="ops"),
            ],
        ),
        (
            "What waits?",
            [
                curve("Ready messages", "They could start now.", (largest("tandem_queue_ready"), "{{queue}}")),
                curve(
                    "Oldest message",
                    "How long the next one has been waiting.",
                    (largest("tandem_queue_oldest_seconds"), "{{queue}}"),
                    unit="s",
                ),
                curve("Delayed messages", "Retries included.", (largest("tandem_queue_delayed"), "{{queue}}")),
                curve(
                    "Claimed messages", "They run, or are about to.", (largest("tandem_queue_in_flight"), "{{queue}}")
                ),
            ],
        ),
        (
            "What fails?",
            [
                curve("Outcomes", "Attempts a second.", (rate(messages, "outcome"), "{{outcome}}"), unit="ops"),
                curve("Failed for good", "By actor.", (rate(failed, "actor"), "{{actor}}"), unit="ops"),
                curve(
                    "Requests",
                    "Answers of the web a second, by status.",
                    (f"sum by (status) (rate(tandem_http_requests_total{_OVER_5_MINUTES}))", "{{status}}"),
                    unit="reqps",
                ),
                curve("Dead letters", "Failed messages that are kept.", (largest("tandem_queue_failed"), "{{queue}}")),
            ],
        ),
        (
            "How long do things take?",
            [
                curve(
                    "Running, 95 of 100 messages",
                    "By actor.",
                    (quantile(0.95, "tandem_message_run_seconds", "actor"), "{{actor}}"),
                    unit="s",
                    width=THIRD,
                ),
                curve(
                    "Waiting, 95 of 100 messages",
                    "By queue, without deliberate delays.",
                    (quantile(0.95, "tandem_message_wait_seconds", "queue"), "{{queue}}"),
                    unit="s",
                    width=THIRD,
                ),
                curve(
                    "Requests, 95 of 100",
                    "By route.",
                    (
                        "histogram_quantile(0.95, sum by (route, le) "
                        f"(rate(tandem_http_request_seconds_bucket{_OVER_5_MINUTES})))",
                        "{{route}}",
                    ),
                    unit="s",
                    width=THIRD,
                ),
            ],
        ),
        (
            "What do workers use?",
            [
                curve("Workers", "Memory.", (largest("tandem_worker_memory_bytes"), "{{worker}}"), unit="bytes"),
                curve("Messages at work", "In each worker.", (largest("tandem_worker_running"), "{{worker}}")),
                curve(
                    "Restarts",
                    "Workers that stopped in the last hour, by reason.",
                    (largest("increase(tandem_worker_restarts_total[1h])"), "{{reason}}"),
                ),
                curve(
                    "Redis",
                    "Memory, its limit, and the append-only file.",
                    (largest("tandem_redis_memory_bytes"), "memory"),
                    (largest("tandem_redis_memory_max_bytes"), "limit"),
                    (largest("tandem_redis_aof_bytes"), "append-only file"),
                    unit="bytes",
                ),
                curve("Containers", "Memory.", ("tandem_container_memory_bytes", "{{instance}}"), unit="bytes"),
                curve(
                    "Disks", "Used share.", ("tandem_disk_used_ratio", "{{instance}} {{folder}}"), unit="percentunit"
                ),
            ],
        ),
    ]


def main() -> None:
    """Write the board, or compare it."""
    text = JSONEncoder(sort_keys=True, indent=2).encode(board().build()) + "\n"
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or FILE.read_text() != text:
            sys.exit(f"{FILE.name} is out of date: type observability/board.py")
        return
    FILE.write_text(text)
    print(f"wrote {FILE.name}")


if __name__ == "__main__":
    main()
