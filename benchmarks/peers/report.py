"""Makes tables in Markdown of what run.py has measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

US, STOCK = "Tandem", "dramatiq"
#: The web with which POST /jobs of Tandem is compared.
STOCK_POST = "Flask, HSET and dramatiq's send"


def median(results: dict[str, Any], name: str, what: str, processes: int = 1) -> float | None:
    """Returns the median of a contender's runs; None where it was not measured."""
    seen = [run[what] for run in results["sessions"].get(name, {}).get(str(processes), []) if what in run]
    return statistics.median(seen) if seen else None


def percentile(results: dict[str, Any], name: str, per_cent: int) -> float | None:
    """Returns a percentile of the idle pick-up (ms) over all runs, by nearest rank."""
    seen = sorted(waited for run in results["sessions"].get(name, {}).get("1", []) for waited in run.get("pick_up", []))
    return seen[-(-len(seen) * per_cent // 100) - 1] if seen else None


def tables(results: dict[str, Any]) -> str:
    """Returns all tables as Markdown."""
    parts = [
        _machine(results),
        _peers(results),
        _drains(results),
        _others(results),
        _backlogs(results),
        _goals(results),
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def _machine(results: dict[str, Any]) -> Iterator[str]:
    machine = results["machine"]
    yield (
        f"{machine['date']}; {machine['cores']} cores ({machine['processor']}), "
        f"load before the start {machine['load']}; "
        f"Docker {machine['docker']}, Python {machine['python']}, Redis {machine['redis']}. Medians of "
        f"{results['runs']} runs, with 2 and 4 processes of {max(1, results['runs'] - 1)}."
    )
    yield ""
    yield ", ".join(f"{name} {version}" for name, version in sorted(results["versions"].items())) + "."


def _cell(value: float | None, ours: float | None, digits: int = 0, unit: str = "") -> str:
    if value is None:
        return ""
    ratio = f" ({value / ours:.2f}x)" if ours else ""
    return f"{value:,.{digits}f}{unit}{ratio}"


def _peers(results: dict[str, Any]) -> Iterator[str]:
    yield "In brackets: the figure divided by Tandem's."
    yield ""
    yield (
        "| one process, 8 at a time | idle pick-up p50, ms | p99, ms | no-op/s, 1 process | 2 processes | 4 processes "
        "| enqueued/s | memory, MiB |"
    )
    yield "| --- " + "| ---: " * 7 + "|"
    for name in results["sessions"]:
        cells = [_cell(percentile(results, name, part), percentile(results, US, part), 1) for part in (50, 99)]
        cells += [
            _cell(median(results, name, "completed", processes), median(results, US, "completed", processes))
            for processes in (1, 2, 4)
        ]
        cells += [
            _cell(median(results, name, "enqueued"), median(results, US, "enqueued")),
            _cell(median(results, name, "memory"), median(results, US, "memory")),
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def _drains(results: dict[str, Any]) -> Iterator[str]:
    yield "| | start to first message, s | stop with messages of 1 s, s | finished | run again after kill -9, s |"
    yield "| --- " + "| ---: " * 4 + "|"
    for name, runs in results["sessions"].items():
        if (drain := median(results, name, "drain")) is None:
            continue
        last = runs["1"][-1]
        seconds = statistics.median(results["container_kills"]["worker"]) if name == US else results["kills"].get(name)
        again = f"not within {results['kill_seconds']}" if seconds is None else f"{seconds:.1f}"
        boot = median(results, name, "boot") or 0.0
        yield f"| {name} | {boot:.2f} | {drain:.2f} | {last['finished']} of {last['naps']} | {again} |"


def _others(results: dict[str, Any]) -> Iterator[str]:
    yield "| POST accepted in a second, 16 connections | | |"
    yield "| --- | ---: | ---: |"
    for name, seen in results["http"].items():
        yield f"| {name} | {statistics.median(seen):,.0f} | {_times_stock(results, name):.2f}x |"
    yield ""
    lost = ", ".join(f"{seconds:.1f}" for seconds in results["container_kills"]["container"])
    yield f"A container that was killed: its message ran again in another one after {lost} s."


def _times_stock(results: dict[str, Any], name: str) -> float:
    """Returns the median of a web's rate divided by STOCK_POST's in the same round: both met the same other load."""
    seen: dict[str, list[float]] = results["http"]
    return statistics.median(rate / stock for rate, stock in zip(seen[name], seen[STOCK_POST], strict=True))


def _backlogs(results: dict[str, Any]) -> Iterator[str]:
    yield "| messages waiting | completed/s | memory of the worker, MiB | memory of Redis, MiB | `queue stats`, s |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for size, runs in results["backlogs"].items():
        middle = {what: statistics.median(run[what] for run in runs) for what in runs[0]}
        yield (
            f"| {int(size):,} | {middle['completed']:,.0f} | {middle['memory']:.0f} | {middle['redis']:,.0f} "
            f"| {middle['stats']:.2f} |"
        )


def _goals(results: dict[str, Any]) -> Iterator[str]:
    yield "| goal | wanted | reached | |"
    yield "| --- | ---: | ---: | --- |"
    for name, wanted, reached, least in _reached(results):
        if reached is None:
            continue
        met = reached >= wanted if least else reached <= wanted
        sign = "≥" if least else "≤"
        yield f"| {name} | {sign} {wanted:g} | {reached:.2f} | {'met' if met else '**missed**'} |"


def _reached(results: dict[str, Any]) -> Iterator[tuple[str, float, float | None, bool]]:
    """Yields name, what is wanted, what was reached, and whether more is better."""

    def ratio(what: str, ours: str, peer: str) -> float | None:
        mine, other = median(results, ours, what), median(results, peer, what)
        return mine / other if mine and other else None

    p50, stock_p50 = percentile(results, US, 50), percentile(results, STOCK, 50)
    yield "idle pick-up, p50, ms", 1.5, p50, False
    yield "idle pick-up, p99, ms", 10, percentile(results, US, 99), False
    yield "idle pick-up, times quicker than dramatiq", 80, stock_p50 / p50 if p50 and stock_p50 else None, True
    peers = [percentile(results, name, 50) for name in results["sessions"] if name != US]
    quickest = min((wait for wait in peers if wait), default=None)
    yield "idle pick-up, p50 as part of the quickest peer's", 1, p50 / quickest if p50 and quickest else None, False
    yield "no-op, times dramatiq", 1.5, ratio("completed", US, STOCK), True
    yield "no-op, times dramatiq, 1 thread each", 8, ratio("completed", f"{US}, 1 thread", f"{STOCK}, 1 thread"), True
    for peer, wanted in (("taskiq", 1.1), ("Celery", 2.5), ("RQ", 10)):
        yield f"no-op, times {peer}", wanted, ratio("completed", US, peer), True
    yield "enqueue rate, times dramatiq", 1, ratio("enqueued", US, STOCK), True
    yield "memory, part of dramatiq's", 1, ratio("memory", US, STOCK), False
    kills = results["container_kills"]
    yield "kill -9 of a worker to running again, s", 2, statistics.median(kills["worker"]), False
    yield "loss of a container to running again, s", 15, max(kills["container"]), False
    yield f"accepted POSTs, times {STOCK_POST}", 1, _times_stock(results, US), True
    waiting = {size: statistics.median(run["completed"] for run in runs) for size, runs in results["backlogs"].items()}
    sizes = list(waiting)
    name = f"no-op with {int(sizes[-1]):,} waiting, part of that with {int(sizes[0]):,}"
    yield name, 0.9, waiting[sizes[-1]] / waiting[sizes[0]], True
