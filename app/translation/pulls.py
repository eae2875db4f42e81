"""The progress and failures of pulls, in Redis: one process pulls, all others can report it.

tandem:pull           string: JSON of Pull, until the model is available or no progress is reported for a while
tandem:pull:failures  hash: name of a model -> JSON of its last Failure, until the model is available
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

import redis

from app.translation.engine.names import full_name
from app.translation.engine.pull import Pull
from tandem import get_broker

logger = logging.getLogger(__name__)

KEY = "tandem:pull"
FAILURES = "tandem:pull:failures"
# Seconds after which a failure expires; a pull reports its next failure long before.
FAILURE_EXPIRY = 86_400


@dataclass(frozen=True)
class Failure:
    """Why a pull failed. final: whether it is not retried."""

    model: str
    reason: str
    final: bool

    def __str__(self) -> str:
        """`the model x cannot be pulled: …`"""
        if self.final:
            return f"the model {self.model} cannot be pulled: {self.reason}"
        return f"the pull of {self.model} failed and is retried: {self.reason}"


def report(pull: Pull, *, seconds: int) -> None:
    """Publish the progress, which expires after `seconds`. Errors of Redis are ignored."""
    try:
        with get_broker().client.pipeline() as pipeline:
            pipeline.set(KEY, json.dumps(vars(pull)), ex=seconds)
            pipeline.hdel(FAILURES, full_name(pull.model))
            pipeline.execute()
    except redis.RedisError as error:
        logger.debug("failed to report the pull's progress: %s", error)


def report_failure(failure: Failure) -> None:
    """Publish that the pull has failed, and why."""
    try:
        with get_broker().client.pipeline() as pipeline:
            pipeline.delete(KEY)
            pipeline.hset(FAILURES, full_name(failure.model), json.dumps(vars(failure)))
            pipeline.expire(FAILURES, FAILURE_EXPIRY)
            pipeline.execute()
    except redis.RedisError as error:
        logger.debug("failed to report the pull's failure: %s", error)


def forget(*, failures: bool = False) -> None:
    """Delete the pull in progress. failures: delete failures, too."""
    try:
        get_broker().client.delete(KEY, *([FAILURES] if failures else []))
    except redis.RedisError as error:
        logger.debug("failed to report the pull's end: %s", error)


def running(model: str | None = None) -> Pull | None:
    """Return the pull in progress, of any model or of this one; None if Redis is unreachable."""
    try:
        value = get_broker().client.get(KEY)
    except redis.RedisError:
        return None
    pull = Pull(**json.loads(str(value, "utf-8"))) if isinstance(value, bytes) else None
    return pull if pull and (model is None or full_name(pull.model) == full_name(model)) else None


def failure(model: str) -> Failure | None:
    """Return the failure of this model's last pull, if any; None if Redis is unreachable."""
    try:
        value = get_broker().client.hget(FAILURES, full_name(model))
    except redis.RedisError:
        return None
    return Failure(**json.loads(str(value, "utf-8"))) if isinstance(value, bytes) else None
