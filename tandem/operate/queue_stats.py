"""Statistics of queues, workers and actors, from a few cheap commands, however long the queues are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from tandem.broker import keys, statistics
from tandem.broker.connection import clock, text
from tandem.broker.statistics import DAY, HOUR, MINUTE, Counts, LatencySummary, Times

# A worker without a heartbeat for this many seconds is lost: another one requeues its messages.
LOST_SECONDS = 60.0
# Where the number of parked messages is among the answers for a queue, see _add_commands.
PARKED = 6
# An actor can have any number of keys, and each of them has a lane.
MAX_LANES = 1000


@dataclass(frozen=True)
class QueueState:
    """The messages of a queue: counts, and seconds by the clock of Redis.

    ready: not claimed, parked ones included. parked: how many of each actor wait for its limit. in_flight: claimed by a
    worker, running or about to. delayed: not due yet, retries included. failed: dead letters. oldest_seconds: since the
    next ready one, or one that is parked, was sent or due. overdue_seconds: how long the first delayed one has been
    due. Both are 0 if there is none.
    """

    name: str
    ready: int
    in_flight: int
    delayed: int
    failed: int
    paused: bool
    oldest_seconds: float
    overdue_seconds: float
    parked: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunningMessage:
    """A running message; `seconds`: for how long, at its worker's last heartbeat. `stuck`: beyond its time limit.

    queue_id: its id in the queue, which is another one for a unique message.
    """

    message_id: str
    actor: str
    seconds: float
    stuck: bool
    queue_id: str = ""


@dataclass(frozen=True)
class WorkerState:
    """A worker as of its last heartbeat, `silent_seconds` ago; a living one sends one every two seconds.

    ended: messages of this process, whatever their outcome. lost: without a heartbeat for so long that its messages are
    requeued.
    """

    name: str
    state: str
    lost: bool
    silent_seconds: float
    pid: int
    uptime_seconds: float
    threads: int
    queues: tuple[str, ...]
    ended: int
    memory_bytes: int
    running: tuple[RunningMessage, ...]


@dataclass(frozen=True)
class ActorState:
    """Outcomes of an actor's messages in the last minute, hour and day, and their times in the last hour."""

    name: str
    minute: Counts
    hour: Counts
    day: Counts
    wait: LatencySummary
    run: LatencySummary


#: Returns the fields `message_timestamp` and `options` of a payload, or raises anything.
Decode = Callable[[Any], Mapping[str, Any]]


def queues(client: redis.Redis, declared: Iterable[str] = (), *, decode: Decode = json.loads) -> list[QueueState]:
    """Return every queue that was ever used, and those of `declared`, by name. Raises redis.RedisError.

    client: one that does not decode, because any client can send a payload that is not text. decode: for messages in
    another format than JSON; the monitor does not know any, and sees no age of them.
    """
    names = sorted({*declared, *map(text, client.smembers(keys.QUEUES))})
    workers = [text(name) for name in cast("list[bytes | str]", client.zrange(keys.HEARTBEATS, 0, -1))]
    # A transaction: otherwise a message that moves in between would be counted twice, or not at all.
    pipeline = client.pipeline(transaction=True)
    for name in names:
        _add_commands(pipeline, name, workers)
    answers = pipeline.execute()
    each = len(answers) // len(names) if names else 0
    rows = {name: answers[each * n : each * (n + 1)] for n, name in enumerate(names)}
    parked = {name: _parked(client, name) for name, row in rows.items() if row[PARKED]}
    sent = _sent(client, {name: id_ for name, row in rows.items() if (id_ := _next_id(row))}, decode)
    now = clock(client)
    return [_queue(name, row, parked.get(name, {}), sent.get(name, now), now) for name, row in rows.items()]


def workers(client: redis.Redis) -> list[WorkerState]:
    """Return every worker that has sent a heartbeat and is still registered, by name. Raises redis.RedisError."""
    now = clock(client)
    states = {text(name): json.loads(state) for name, state in client.hgetall(keys.WORKERS).items()}
    return [_worker(name, state, now) for name, state in sorted(states.items())]


def actors(client: redis.Redis) -> list[ActorState]:
    """Return every actor with a message that ended in the last day, by name. Raises redis.RedisError."""
    now = clock(client)
    # The short windows first: a message that ends in between is then missing from a shorter one, never from a longer
    # one.
    minute, hour, day = (statistics.window(client, seconds, now) for seconds in (MINUTE, HOUR, DAY))
    times = statistics.times(client, now)
    return [
        ActorState(
            name,
            minute=minute.get(name, Counts()),
            hour=hour.get(name, Counts()),
            day=day.get(name, Counts()),
            wait=times.get(name, Times()).wait,
            run=times.get(name, Times()).run,
        )
        for name in sorted(day)
    ]


def _add_commands(pipeline: Any, queue: str, workers: list[str]) -> None:
    """Add the same number of commands for each queue, in the order in which `_queue` reads the answers."""
    pipeline.llen(keys.ready(queue))
    pipeline.lrange(keys.ready(queue), 0, 0)
    pipeline.zcard(keys.delayed(queue))
    pipeline.zrange(keys.delayed(queue), 0, 0, withscores=True)
    pipeline.zcard(keys.dead(queue))
    pipeline.sismember(keys.PAUSED, queue)
    pipeline.zcard(keys.parked(queue))
    pipeline.zrange(keys.parked(queue), 0, 0)
    for worker in workers:
        pipeline.zcard(keys.claimed(worker, queue))


def _sent(client: redis.Redis, heads: dict[str, Any], decode: Decode) -> dict[str, float]:
    """Return since when the message with this id at the head of each queue is ready (seconds since 1970)."""
    pipeline = client.pipeline(transaction=False)
    for queue, id_ in heads.items():
        pipeline.hget(keys.payloads(queue), id_)
    sent = {}
    for queue, payload in zip(heads, pipeline.execute(), strict=True):
        # It may have been claimed by now, and any client can send a payload that cannot be decoded.
        with suppress(Exception):
            message = decode(payload)
            sent[queue] = max(message["message_timestamp"], message.get("options", {}).get("eta") or 0) / 1000
    return sent


def _next_id(row: list[Any]) -> Any:
    """Return the id of the first ready message or, if all are parked, of a parked one."""
    if row[1]:
        return row[1][0]
    if not row[PARKED]:
        return None
    member = row[PARKED + 1][0]
    return member.split(b"\t" if isinstance(member, bytes) else "\t", 2)[2]


def _parked(client: redis.Redis, queue: str) -> dict[str, int]:
    """Return how many messages of each actor are parked, in its first MAX_LANES lanes."""
    lanes = [text(lane) for lane in cast("list[bytes | str]", client.zrange(keys.lanes(queue), 0, MAX_LANES - 1))]
    pipeline = client.pipeline(transaction=False)
    for lane in lanes:
        pipeline.zlexcount(keys.parked(queue), f"[{lane}\t", f"[{lane}\n")
    counts = Counter[str]()
    for lane, count in zip(lanes, pipeline.execute(), strict=True):
        counts[lane.rpartition(":")[0]] += count
    return {actor: count for actor, count in sorted(counts.items()) if count}


def _queue(name: str, row: list[Any], parked: dict[str, int], sent: float, now: float) -> QueueState:
    ready, _, delayed, first_delayed, failed, paused, parked_count, _, *claimed = row
    due = first_delayed[0][1] / 1000 if first_delayed else now
    return QueueState(
        name=name,
        ready=ready + parked_count,
        in_flight=sum(claimed),
        delayed=delayed,
        failed=failed,
        paused=bool(paused),
        parked=parked,
        oldest_seconds=_rounded(now - sent),
        overdue_seconds=_rounded(now - due),
    )


def _worker(name: str, heartbeat: dict[str, Any], now: float) -> WorkerState:
    silent = _rounded(now - heartbeat["time"])
    return WorkerState(
        name=name,
        state=heartbeat["state"],
        lost=silent > LOST_SECONDS,
        silent_seconds=silent,
        pid=heartbeat["pid"],
        # Both times are from the heartbeat.
        uptime_seconds=_rounded(heartbeat["time"] - heartbeat["started"]),
        threads=heartbeat["threads"],
        queues=tuple(heartbeat["queues"]),
        ended=heartbeat["ended"],
        memory_bytes=heartbeat["memory"],
        running=tuple(
            RunningMessage(
                message["message_id"],
                message["actor"],
                message["seconds"],
                message["stuck"],
                message.get("queue_id", message["message_id"]),
            )
            for message in heartbeat["running"]
        ),
    )


def _rounded(seconds: float) -> float:
    """Round to the millisecond; 0 if, because of two hosts' clocks, the time would be in the future."""
    return round(max(0.0, seconds), 3)
