"""Why workers stopped, counted for ever in Redis, for /metrics. Nothing is counted while Redis does not answer."""

from __future__ import annotations

import logging

import redis

from tandem.broker import keys

logger = logging.getLogger(__name__)

#: What ends a worker that could not say why: a kill, a crash, a thread that could not be interrupted, a lost host.
DIED = "died"
_SIGNALS = {"SIGTERM": "stop", "SIGINT": "stop", "queue stop-workers": "stop-workers"}


def note(client: redis.Redis, reason: str) -> None:
    """Count a worker that stops. reason: in the words of its log, such as `time limit: 3600.1 of 3600 s`."""
    kind = _SIGNALS.get(reason) or reason.partition(":")[0]
    try:
        client.hincrby(keys.RESTARTS, kind, 1)
    except redis.RedisError as error:
        logger.debug("the end of this worker is not counted: %s", error)


def note_death(client: redis.Redis, worker: str) -> None:
    """Count the worker of this name that has left its state in Redis, because it could not end. Raises RedisError."""
    # Its state goes with it, so that a second try does not count it again.
    if client.hdel(keys.WORKERS, worker):
        client.hincrby(keys.RESTARTS, DIED, 1)
