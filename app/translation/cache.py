"""Answers of models that may be wanted again, in a bounded part of Redis; the one used longest ago makes room first.

tandem:answers        hash: digest of what was asked -> answer
tandem:answers:used   sorted set: the digests by the time (ms) of their last use
tandem:answers:bytes  how much all of it takes
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import cast

import redis

logger = logging.getLogger(__name__)

KEYS = ("tandem:answers", "tandem:answers:used", "tandem:answers:bytes")
# What Redis needs for an entry beside its text: 342 were measured over 20,000 entries, with hash and sorted set.
ENTRY_BYTES = 350

_SCRIPTS = Path(__file__).parent / "scripts"


class Cache:
    """At most `most_bytes` of answers, all of them forgotten when none was stored for `retention` seconds.

    A cache may fail: then nothing is found, and nothing is kept.
    """

    def __init__(self, client: redis.Redis, *, most_bytes: int, retention: int) -> None:
        self._most_bytes = most_bytes
        self._retention = retention
        self._get = client.register_script((_SCRIPTS / "cache_get.lua").read_text())
        self._put = client.register_script((_SCRIPTS / "cache_put.lua").read_text())

    def get(self, asked: object) -> str | None:
        """The answer to what was asked, if it is there. `asked`: anything that JSON can say."""
        try:
            return cast("str | None", self._get(keys=KEYS, args=[_digest(asked)]))
        except redis.RedisError as error:
            logger.debug("the cache does not answer: %s", error)
            return None

    def put(self, asked: object, answer: str) -> None:
        """Keeps an answer."""
        size = len(answer.encode()) + ENTRY_BYTES
        try:
            self._put(keys=KEYS, args=[_digest(asked), answer, size, self._most_bytes, self._retention, ENTRY_BYTES])
        except redis.RedisError as error:
            logger.debug("the cache does not take it: %s", error)


def _digest(asked: object) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
