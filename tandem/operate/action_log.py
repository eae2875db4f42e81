"""What operators have done, on the command line and on the page: the newest MAX_ACTIONS, in Redis and in the log.

tandem:actions   list of JSON, newest first
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

import redis

from tandem.broker import keys
from tandem.broker.connection import clock, text

logger = logging.getLogger(__name__)

MAX_ACTIONS = 1000
MAX_LENGTH = 300
#: Who acts on the command line.
CLI = "cli"


@dataclass(frozen=True)
class Action:
    """One action. at: seconds since 1970. who: a token's name or `cli`. about: an id, a queue or a filter in words."""

    at: float
    who: str
    what: str
    about: str
    count: int


def note(client: redis.Redis, what: str, about: str, count: int = 1, *, who: str = CLI) -> None:
    """Note an action that was done; it stays done if Redis does not answer now."""
    try:
        action = Action(round(clock(client), 3), who, what, about[:MAX_LENGTH], count)
        with client.pipeline(transaction=True) as pipe:
            pipe.lpush(keys.ACTIONS, json.dumps(asdict(action)))
            pipe.ltrim(keys.ACTIONS, 0, MAX_ACTIONS - 1)
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("%s of %s by %s is not in the action log: %s", what, about, who, error)


def newest(client: redis.Redis, count: int = MAX_ACTIONS) -> list[Action]:
    """Return the newest actions first. Raises redis.RedisError."""
    return list(_actions(client.lrange(keys.ACTIONS, 0, count - 1)))


def _actions(lines: list[bytes | str]) -> Iterator[Action]:
    for line in lines:
        # Those of another version may have other fields.
        with suppress(ValueError, TypeError):
            yield Action(**json.loads(text(line)))
