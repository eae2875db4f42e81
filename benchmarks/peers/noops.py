"""The workload of no-ops; lies in app/ of the image, as users' workloads do."""

from __future__ import annotations

import dramatiq
import work

from app.queueing.workload import Workload

ACTORS = {
    name: dramatiq.actor(getattr(work, name), actor_name=name, queue_name="bench")
    for name in ("noop", "mark", "nap", "hold")
}
noops = Workload(name="noops")
