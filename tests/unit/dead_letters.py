"""Dead letters as the engine writes them, for tests."""

from __future__ import annotations

import json
from typing import Any, cast

from dramatiq import Message
from fakeredis import FakeRedis

FAILED_AT = 1_763_800_000_000


def dead_letter_with(
    client: Any,
    number: int,
    *,
    queue: str = "default",
    actor: str = "work",
    error: str = "ValueError",
    failed_at: int | None = None,
    args: tuple[Any, ...] | None = None,
    **options: Any,
) -> str:
    """Add a dead letter with this number, one millisecond newer than the one before; return its id."""
    id_ = f"id-{number:06}"
    attempt = {"at": "2025-11-22T08:26:40Z", "worker": "host:worker_00", "error": error, "message": f"no {number}"}
    options = {
        "attempts": [attempt],
        "attempt_count": 1,
        "traceback": f"Traceback:\n  line\n{error}: no {number}",
        "failed_at": "2025-11-22T08:26:40Z",
        "retries": 3,
        "resent": 0,
    } | options
    message: Message[Any] = Message(
        queue,
        actor,
        (number,) if args is None else args,
        {},
        options,
        message_id=id_,
        message_timestamp=FAILED_AT - 5000,
    )
    put(
        client,
        queue,
        id_,
        message.encode(),
        kind=f"{actor}\t{error}",
        failed_at=FAILED_AT + number if failed_at is None else failed_at,
    )
    return id_


def put(client: Any, queue: str, id_: str, payload: bytes, *, kind: str | None, failed_at: int = FAILED_AT) -> None:
    """Write the keys of one dead letter."""
    client.sadd("tandem:queues", queue)
    client.zadd(f"dramatiq:{queue}.XQ", {id_: failed_at})
    client.hset(f"dramatiq:{queue}.XQ.msgs", id_, payload)
    if kind is not None:
        client.hset(f"dramatiq:{queue}.XQ.kinds", id_, kind)
        client.hincrby(f"dramatiq:{queue}.XQ.counts", kind, 1)


def places(client: Any, queue: str = "default") -> dict[str, list[str]]:
    """Return where each id is: in `ready`, `dead` or several; fail if the keys of a place are inconsistent."""
    name = f"dramatiq:{queue}"
    ready, dead = texts(client.lrange(name, 0, -1)), texts(client.zrange(f"{name}.XQ", 0, -1))
    assert sorted(ready) == sorted(texts(client.hkeys(f"{name}.msgs")))
    assert sorted(dead) == sorted(texts(client.hkeys(f"{name}.XQ.msgs")))
    kinds = texts(client.hvals(f"{name}.XQ.kinds"))
    counts = {text(kind): int(number) for kind, number in client.hgetall(f"{name}.XQ.counts").items()}
    assert counts == {kind: kinds.count(kind) for kind in kinds}
    seen: dict[str, list[str]] = {}
    for place, ids in (("ready", ready), ("dead", dead)):
        for id_ in ids:
            seen.setdefault(id_, []).append(place)
    return seen


def ready(client: Any, queue: str = "default") -> list[dict[str, Any]]:
    """Return the payloads of the ready messages, in order."""
    ids = client.lrange(f"dramatiq:{queue}", 0, -1)
    return [json.loads(cast(bytes, client.hget(f"dramatiq:{queue}.msgs", id_))) for id_ in ids]


def text(value: bytes | str) -> str:
    """Return text, whether or not the client decodes."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def texts(values: Any) -> list[str]:
    """Return the same for several values."""
    return [text(value) for value in values]


def snapshot(client: FakeRedis) -> dict[str, bytes | None]:
    """Return all data of Redis, to check that nothing was changed."""
    return {text(key): client.dump(key) for key in client.scan_iter()}
