"""dramatiq with its own broker and worker."""

from __future__ import annotations

import dramatiq
import work
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=work.URL))
ACTORS = {
    name: dramatiq.actor(actor_name=name, queue_name="bench")(getattr(work, name))
    for name in ("noop", "mark", "nap", "hold")
}


def workers(processes: int) -> list[list[str]]:
    return [["dramatiq", "dramatiq_peer", "-p", str(processes), "-t", str(work.THREADS)]]


def send(name: str, *args: float) -> None:
    ACTORS[name].send(*args)
