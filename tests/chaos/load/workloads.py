"""The registry with the load in it."""

from __future__ import annotations

from app.queueing.workload import Workload


def load() -> tuple[Workload, ...]:
    """All workloads."""
    from app.load import load

    from app.translation.workload import translation

    return (translation, load)
