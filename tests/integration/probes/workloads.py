"""The registry with the probes in it."""

from __future__ import annotations

from app.queueing.workload import Workload


def load() -> tuple[Workload, ...]:
    """All workloads."""
    from app.probes import probes

    from app.translation.workload import translation

    return (translation, probes)
