"""The times of messages in the text format of Prometheus.

Written here and not by prometheus_client, which needs a multiple of the time for the lines of 200 actors, and would be
most of a scrape. The lines are the same in both formats that it writes, the one of Prometheus and OpenMetrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tandem.broker.totals import EDGES, Histogram, Totals


def write(found: Mapping[str, Mapping[str, Totals]]) -> Iterator[str]:
    """Yield the lines of how long messages waited and ran, by queue and actor."""
    edges = [*map(repr, EDGES), "+Inf"]
    for name, about, histogram in (
        ("tandem_message_wait_seconds", "How long messages waited until they started, without a delay.", _wait),
        ("tandem_message_run_seconds", "How long attempts at messages ran.", _run),
    ):
        yield from _family(found, name, about, histogram, ("queue", "actor"), edges, 1)


def write_dramatiq(found: Mapping[str, Mapping[str, Totals]]) -> Iterator[str]:
    """Yield the lines of how long messages ran, under the name and in the unit of dramatiq's own middleware."""
    edges = [*(repr(edge * 1000) for edge in EDGES), "+Inf"]
    name, about = "dramatiq_message_duration_milliseconds", "The time spent processing messages."
    yield from _family(found, name, about, _run, ("queue_name", "actor_name"), edges, 1000)


def _wait(totals: Totals) -> Histogram:
    return totals.wait


def _run(totals: Totals) -> Histogram:
    return totals.run


def _family(
    found: Mapping[str, Mapping[str, Totals]],
    name: str,
    about: str,
    histogram: Callable[[Totals], Histogram],
    labels: tuple[str, str],
    edges: list[str],
    unit: float,
) -> Iterator[str]:
    yield f"# HELP {name} {about}\n# TYPE {name} histogram\n"
    for queue, actors in found.items():
        for actor, totals in actors.items():
            times = histogram(totals)
            counts = times.cumulative()
            series = f'{labels[0]}="{_escaped(queue)}",{labels[1]}="{_escaped(actor)}"'
            for edge, count in zip(edges, counts, strict=True):
                yield f'{name}_bucket{{{series},le="{edge}"}} {count}.0\n'
            yield f"{name}_count{{{series}}} {counts[-1]}.0\n{name}_sum{{{series}}} {times.seconds * unit!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
