"""Detects names, settings, queue limits, commands and routes that two workloads claim; an error names both of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from tandem import runtime
from tandem.config.settings import Settings
from tandem.config.settings_base import SettingsBase
from tandem.registry import places
from tandem.workload import Workload

PLATFORM = "the platform"
_METRICS_OF_PLATFORM = ("tandem_", "dramatiq_")

_DUPLICATE_ACTOR = re.compile(r"An actor named '(.+)' is already registered")


def names_and_settings(workloads: tuple[Workload, ...]) -> Iterator[str]:
    """Yield a line for each name and setting that two workloads claim."""
    names = [workload.name for workload in workloads]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two workloads have the name {name}: rename one of them"
    kinds: list[tuple[str, type[SettingsBase]]] = [(PLATFORM, Settings)]
    kinds += [(workload.name, workload.settings) for workload in workloads if workload.settings]
    yield from duplicates(
        "have the setting", [(owner, field.upper()) for owner, kind in kinds for field in kind.model_fields]
    )


def duplicate_limits(workloads: tuple[Workload, ...], config: Settings) -> Iterator[str]:
    """Yield a line for each queue that two workloads limit; their settings are valid."""
    return duplicates(
        "limit the queue", [(load.name, queue) for load in workloads for queue in load.max_concurrency(config)]
    )


def duplicate_metrics(claims: Collection[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each metric whose name another one has: Prometheus would refuse all. claims: as duplicates."""
    for owner, name in claims:
        if name.startswith(_METRICS_OF_PLATFORM):
            yield f"{owner} has the metric {name}, and such names are the platform's: rename it"
    yield from duplicates("have the metric", claims)


def duplicates(what: str, claims: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each second claim. `claims`: pairs of an owner and what it claims, as a person would type it."""
    seen: dict[str, str] = {}
    for owner, claim in claims:
        if claim in seen:
            yield f"{seen[claim]} and {owner} both {what} {claim}: rename one of them"
        seen.setdefault(claim, owner)


def twin_of_actor(refusal: str) -> str:
    """Return where the first actor with the name that dramatiq refuses was declared, or ''."""
    match = _DUPLICATE_ACTOR.search(refusal)
    actor = runtime.get_broker().actors.get(match[1]) if match else None
    return places.of_function(actor.fn) if actor else ""
