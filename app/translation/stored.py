"""Count the bytes of stored translations, in the same scripts that store, delete and expire them.

tandem:translations:bytes  hash: id -> bytes of its texts, parts and result, and `total` of all

Records of ended translations expire by themselves; a sweep removes them from the count by the times in the lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, cast

import redis

from tandem import Quota, values

BYTES = "tandem:translations:bytes"
TOTAL = "total"
# An estimate of Redis's overhead of a translation, in bytes: record, lists, message and this count.
RECORD_BYTES = 1500
# Ids per script, and scripts per sweep: each takes a few milliseconds.
BATCH = 100
MAX_BATCHES = 20
# Random translations that each sweep counts again, so that no error in the count persists.
SAMPLE = 50

_SCRIPTS = Path(__file__).parent / "scripts"
#: Lua functions that precede the scripts that count.
COUNTING = f"local RECORD_BYTES = {RECORD_BYTES}\n" + (_SCRIPTS / "stored.lua").read_text()
_TEXTS = ("text", "glossary", "translation", "problems", "untranslated")


class StoreFull(Exception):
    """The stored translations have reached their limit of bytes; the message has both numbers and the setting."""

    def __init__(self, stored: int, limit: int) -> None:
        super().__init__(
            f"the stored translations take {stored:,} bytes, and this one would exceed the maximum of "
            f"{values.show_size(limit)} (TRANSLATION_STORE): try again after some have expired or been cancelled; "
            "accepted translations continue"
        )


class Stored:
    """The count in the Redis of `client`, which has to decode its answers. lists: the index and the ended ones.

    All methods raise redis.RedisError.
    """

    def __init__(self, client: redis.Redis, lists: tuple[str, str], prefix: str) -> None:
        self._redis = client
        self._lists = lists
        self._prefix = prefix
        self._sweep, self._count = (
            client.register_script(COUNTING + (_SCRIPTS / f"{name}.lua").read_text()) for name in ("sweep", "count")
        )
        self._total = client.register_script((_SCRIPTS / "total.lua").read_text())

    def total(self) -> int:
        """Return the bytes of all translations."""
        return int(cast("str | None", self._redis.hget(BYTES, TOTAL)) or 0)

    def sweep(self) -> int:
        """Remove expired translations from the count and correct a sample of others; return the bytes freed."""
        before = self.total()
        for _ in range(MAX_BATCHES):
            if int(cast(int, self._sweep(keys=[*self._lists, BYTES], args=[BATCH]))) < BATCH:
                break
        self.count(cast("list[str] | None", self._redis.hrandfield(BYTES, SAMPLE)) or [])
        return before - self.total()

    def count(self, ids: Iterable[str]) -> None:
        """Count these translations again."""
        others = (id for id in ids if id != TOTAL)
        while batch := list(islice(others, BATCH)):
            names = [key for id in batch for key in (f"{self._prefix}{id}", f"{self._prefix}{id}:chunks")]
            self._count(keys=[BYTES, *names], args=batch)

    def count_all(self) -> None:
        """Count every translation again, including those stored by an earlier version."""
        self.count(cast("str", id) for id, _ in self._redis.hscan_iter(BYTES, count=BATCH))
        found = self._redis.scan_iter(match=f"{self._prefix}*", count=1000)
        self.count(id for key in found if ":" not in (id := cast("str", key).removeprefix(self._prefix)))
        self._total(keys=[BYTES])


def quota(id: str, fields: Mapping[str, Any], limit: int) -> Quota:
    """Return the quota of a new record. limit: bytes of all translations; 0: no limit."""
    texts = sum(len(str(fields.get(name, "")).encode()) for name in _TEXTS)
    return Quota(BYTES, id, RECORD_BYTES + texts, limit)
