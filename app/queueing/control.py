"""Orders to all workers of all containers on one Redis."""

from __future__ import annotations

from typing import cast

import redis

from app.queueing import keys


def stops(client: redis.Redis) -> int:
    """How often all workers were asked to stop: each leaves when this is more than at its start."""
    return int(cast("bytes | None", client.get(keys.STOPS)) or 0)
