"""How far a model's pull is, in Redis: one process pulls, all others can say so.

tandem:pull   string: JSON of Pull, until it is there or was not heard of for a while
"""

from __future__ import annotations

import json
import logging

import redis

from app.queueing.broker import installed
from app.translation.engine.pull import Pull

logger = logging.getLogger(__name__)

KEY = "tandem:pull"


def tell(pull: Pull, *, seconds: int) -> None:
    """Lets everybody know, for so long at most. It is only told: nothing is raised when Redis is away."""
    try:
        installed().client.set(KEY, json.dumps(vars(pull)), ex=seconds)
    except redis.RedisError as error:
        logger.debug("the pull's progress is not told: %s", error)


def forget() -> None:
    """No pull is under way any more."""
    try:
        installed().client.delete(KEY)
    except redis.RedisError as error:
        logger.debug("the pull's end is not told: %s", error)


def running() -> Pull | None:
    """The pull under way; None also while Redis is away."""
    try:
        told = installed().client.get(KEY)
    except redis.RedisError:
        return None
    return Pull(**json.loads(str(told, "utf-8"))) if isinstance(told, bytes) else None
