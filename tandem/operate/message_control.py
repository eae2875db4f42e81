"""Operations on single messages: cancel one, and make one the next of its queue.

All functions expect a client that does not decode its answers, and raise redis.RedisError.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal, cast

import redis
from dramatiq import Broker

from tandem.broker import keys
from tandem.broker.connection import raw
from tandem.broker.errors import Purged
from tandem.broker.scripts import script
from tandem.operate.messages import Found, Messages
from tandem.operate.removal import Removal

#: A request to interrupt a message is forgotten after this time (seconds): its worker looks every two.
REQUEST_KEPT = 3600
_RUN_NOW = (Path(__file__).parent / "lua" / "run_now.lua").read_text()

Canceling = Literal["removed", "interrupted", "failed", "handled", "unknown"]
Starting = Literal["next", "running", "limited", "failed", "handled", "unknown"]


def cancel(client: redis.Redis, broker: Broker, declared: Collection[str], id_: str) -> Canceling:
    """Cancel a message: remove one that waits, after its on_failed was called, or ask its worker to interrupt it.

    Returns what was done, or why nothing was: it is a dead letter already, has ended, or is not known.
    """
    places = Messages(client, declared).find(id_)
    for found in places:
        if found.state in ("ready", "delayed") and _remove(client, broker, found):
            return "removed"
        if found.state == "running":
            _ask(client, found)
            return "interrupted"
    return _ended(places)


def run_now(client: redis.Redis, declared: Collection[str], id_: str) -> Starting:
    """Make a waiting message the next of its queue; return what was done, or why nothing was."""
    places = Messages(client, declared).find(id_)
    for found in places:
        if found.state == "running":
            return "running"
        if found.state in ("ready", "delayed"):
            names = [key(found.queue) for key in (keys.ready, keys.delayed, keys.notify)]
            answer = client.eval(script("notify") + _RUN_NOW, len(names), *names, cast(str, raw(id_)))
            return "next" if answer == b"next" else "limited"
    ended = _ended(places)
    return "unknown" if ended in ("removed", "interrupted") else ended


def _remove(client: redis.Redis, broker: Broker, found: Found) -> bool:
    reason = f"removed from the queue {found.queue} by an operator"
    removal = Removal(client, broker, found.queue, lambda: Purged(reason))
    if not removal.one_aside(raw(found.id)):
        return False
    return sum(removal.finish([raw(found.id)])) > 0


def _ask(client: redis.Redis, found: Found) -> None:
    """Ask the worker that has claimed a message to interrupt it; it does so with its next heartbeat."""
    with client.pipeline(transaction=True) as pipe:
        pipe.sadd(keys.canceled(found.worker), cast(str, raw(f"{found.queue}\t{found.id}")))
        pipe.expire(keys.canceled(found.worker), REQUEST_KEPT)
        pipe.execute()


def _ended(places: list[Found]) -> Literal["failed", "handled", "unknown"]:
    states = {found.state for found in places}
    return "failed" if "failed" in states else "handled" if "handled" in states else "unknown"
