"""The registry with the no-ops beside what the image comes with; lies in app/ of the image."""

from __future__ import annotations

from app.queueing.workload import Workload


def load() -> tuple[Workload, ...]:
    """All workloads."""
    from app.noops import noops

    from app.translation.workload import translation
    from app.webhooks import webhooks

    return (translation, webhooks, noops)
