"""A bounded cache of model answers in Redis; the least recently used answer is evicted first.

tandem:answers        hash: digest of the question -> answer
tandem:answers:used   sorted set: the digests by the time (ms) of their last use
tandem:answers:bytes  string: bytes of all entries
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
# Redis's overhead of an entry, in bytes: 342 were measured over 20,000 entries, with hash and sorted set.
ENTRY_BYTES = 350

_SCRIPTS = Path(__file__).parent / "scripts"


class Cache:
    """At most `max_bytes` of answers; all of them expire if none is stored for `retention` seconds.

    If Redis fails, `get` returns None and `put` stores nothing.
    """

    def __init__(self, client: redis.Redis, *, max_bytes: int, retention: int) -> None:
        self._most_bytes = max_bytes
        self._retention = retention
        self._get = client.register_script((_SCRIPTS / "cache_get.lua").read_text())
        self._put = client.register_script((_SCRIPTS / "cache_put.lua").read_text())

    def get(self, asked: object) -> str | None:
        """Return the cached answer, if any. asked: the question, as any JSON value."""
        try:
            return cast("str | None", self._get(keys=KEYS, args=[_digest(asked)]))
        except redis.RedisError as error:
            logger.debug("reading from the answer cache failed: %s", error)
            return None

    def put(self, asked: object, answer: str) -> None:
        """Cache an answer."""
        size = len(answer.encode()) + ENTRY_BYTES
        try:
            self._put(keys=KEYS, args=[_digest(asked), answer, size, self._most_bytes, self._retention, ENTRY_BYTES])
        except redis.RedisError as error:
            logger.debug("writing to the answer cache failed: %s", error)


def _digest(asked: object) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
