"""The one registry of workloads: put yours here."""

from __future__ import annotations

from app.queueing.workload import Workload


def load() -> tuple[Workload, ...]:
    """All workloads, their actors declared on the broker that is installed when this is called."""
    from app.translation.workload import translation
    from app.webhooks import webhooks

    return (translation, webhooks)
