"""Translations in Redis.

tandem:translation:<id>          hash: text, source, target, model, status, done, total, translation, error and times
tandem:translation:<id>:chunks   hash: number of a chunk -> its translation, until it is done

A translation that has ended is kept for `retention` seconds; one that has not is kept, however long it waits.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast
from uuid import uuid4

import redis

from app.queueing.submission import Record
from app.translation.request import TranslationRequest

Status = Literal["queued", "running", "done", "failed", "cancelled"]

# KEYS: record, chunks. ARGV: the run that it is for, or nothing for any, retention in seconds or 0 while it has not
# ended, then field and value pairs, the first of them the status when that changes.
# An ended translation stays as it ended, however often its message is delivered.
# With its memory full, Redis lets a script add only what has taken something away before. What was accepted goes on
# then, so the scripts for it begin with taking away nothing.
_CHANGE = """
local status = redis.call('HGET', KEYS[1], 'status')
if not status or status == 'done' or status == 'failed' or status == 'cancelled' then
    return 0
end
if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then
    return 0
end
redis.call('HDEL', KEYS[1], '')
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
if ARGV[2] ~= '0' then
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    redis.call('EXPIRE', KEYS[2], ARGV[4] == 'failed' and ARGV[2] or 0)
end
return 1
"""

# KEYS: record, chunks. ARGV: run, number of the chunk, its translation.
_ADD_CHUNK = """
local record = redis.call('HMGET', KEYS[1], 'status', 'run')
if record[1] ~= 'running' or record[2] ~= ARGV[1] then
    return 0
end
redis.call('HDEL', KEYS[2], '')
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[1], 'done', redis.call('HLEN', KEYS[2]))
return 1
"""

# KEYS: record, chunks. A failure that people want to be tried again goes on behind the chunks that were done.
_REOPEN = """
if redis.call('HGET', KEYS[1], 'status') ~= 'failed' then
    return 0
end
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
redis.call('HSET', KEYS[1], 'status', 'queued', 'error', '', 'finished_at', '')
return 1
"""


@dataclass(frozen=True)
class Translation:
    """One translation as it is stored; times are ISO 8601 in UTC, empty until they come."""

    id: str
    text: str
    source: str | None
    target: str
    model: str
    status: Status
    done: int
    total: int
    translation: str | None
    error: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ("done", "failed", "cancelled")

    def public(self) -> dict[str, Any]:
        """The JSON that clients get."""
        return {
            "id": self.id,
            "status": self.status,
            "progress": {"done": self.done, "total": self.total},
            "translation": self.translation,
            "error": self.error,
            "source": self.source,
            "target": self.target,
            "model": self.model,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
        }


class Store:
    """Translations in the Redis of `client`, which has to decode its answers."""

    def __init__(self, client: redis.Redis, *, retention: int) -> None:
        self._redis = client
        self._retention = retention
        self._change = client.register_script(_CHANGE)
        self._add_chunk = client.register_script(_ADD_CHUNK)
        self._reopen = client.register_script(_REOPEN)

    def record(self, translation: Translation) -> Record:
        """What is stored of a new translation."""
        fields = {name: value for name, value in vars(translation).items() if value is not None}
        return Record(_key(translation.id), fields)

    def create(self, request: TranslationRequest, *, model: str) -> Translation:
        """A queued translation with a new id; who submits it stores its record."""
        return Translation(
            id=str(uuid4()),
            text=request.text,
            source=request.source,
            target=request.target,
            model=model,
            status="queued",
            done=0,
            total=0,
            translation=None,
            error=None,
            created_at=_now(),
            started_at=None,
            finished_at=None,
        )

    def get(self, id: str) -> Translation | None:
        """The translation, or None where there is none (any more)."""
        fields = _answer(self._redis.hgetall(_key(id)))
        if not fields:
            return None
        fields.pop("run", None)
        optional = ("source", "translation", "error", "started_at", "finished_at")
        values: dict[str, Any] = {name: fields.get(name) or None for name in optional}
        return Translation(**fields | values | {"done": int(fields["done"]), "total": int(fields["total"])})

    def start(self, id: str, *, total: int) -> str | None:
        """Marks it as running and gives the name of this run; None when it has ended or is gone.

        Only the last run that started can change anything: one whose worker was thought dead, and lives, cannot.
        """
        run = uuid4().hex
        return run if self._set(id, status="running", total=total, started_at=_now(), run=run) else None

    def requeue(self, id: str, run: str, *, error: str = "") -> bool:
        """Marks it as queued again, after an attempt that failed with `error` or a part that is done."""
        return self._set(id, status="queued", error=error, by=run)

    def finish(self, id: str, run: str, translation: str) -> bool:
        """Stores the result, once; False when it has ended before or another run has begun."""
        ended = {"status": "done", "translation": translation, "error": "", "finished_at": _now()}
        return self._set(id, self._retention, by=run, **ended)

    def fail(self, id: str, error: str) -> bool:
        """Ends it without a result; False when it has ended before."""
        return self._set(id, self._retention, status="failed", error=error, finished_at=_now())

    def reopen(self, id: str) -> bool:
        """Queues a failed translation again; False when it has not failed."""
        return bool(self._reopen(keys=[_key(id), _chunks_key(id)]))

    def add_chunk(self, id: str, run: str, number: int, text: str) -> bool:
        """Stores one finished chunk and counts it, so that a later delivery goes on behind it.

        False when the translation has ended or another run has begun.
        """
        return bool(self._add_chunk(keys=[_key(id), _chunks_key(id)], args=[run, number, text]))

    def chunks(self, id: str) -> dict[int, str]:
        """The finished chunks by their numbers."""
        return {int(number): text for number, text in _answer(self._redis.hgetall(_chunks_key(id))).items()}

    def _set(self, id: str, retention: int = 0, by: str = "", **fields: str | int) -> bool:
        pairs = [part for pair in fields.items() for part in pair]
        return bool(self._change(keys=[_key(id), _chunks_key(id)], args=[by, retention, *pairs]))


def _key(id: str) -> str:
    return f"tandem:translation:{id}"


def _chunks_key(id: str) -> str:
    return f"{_key(id)}:chunks"


def _answer(value: dict[Any, Any] | Awaitable[Any]) -> dict[str, str]:
    """redis-py types every answer as one of a client that may be asynchronous; this one is not."""
    return cast("dict[str, str]", value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
