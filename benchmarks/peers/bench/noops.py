"""The messages that each contender sends and handles, as actors."""

from __future__ import annotations

import dramatiq
import work

from tandem import Workload

ACTORS = {
    name: dramatiq.actor(actor_name=name, queue_name="bench")(getattr(work, name))
    for name in ("noop", "mark", "nap", "hold")
}
workload = Workload(name="noops")
