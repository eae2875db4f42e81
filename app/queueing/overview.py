"""What lies in the queues, who works on it and how that went: a few cheap commands, however long the queues are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import redis

from app.queueing import keys, statistics
from app.queueing.connection import clock, text
from app.queueing.statistics import DAY, HOUR, MINUTE, Counts, Spread, Times

# A worker of whom nothing was heard for so many seconds is lost: another one brings back what it held.
LOST_SECONDS = 60.0


@dataclass(frozen=True)
class QueueState:
    """The messages of a queue: numbers of them, and seconds by the clock of Redis.

    ready: nobody has them. in_flight: with a worker, running or about to. delayed: not due yet, retries among them.
    failed: dead letters. oldest_seconds: since the next ready one was sent or due. overdue_seconds: for how long
    the first delayed one has been due. Both are 0 when there is none.
    """

    name: str
    ready: int
    in_flight: int
    delayed: int
    failed: int
    paused: bool
    oldest_seconds: float
    overdue_seconds: float


@dataclass(frozen=True)
class RunningMessage:
    """A message that runs; `seconds`: for how long, at its worker's last sign. `stuck`: beyond its time limit."""

    message_id: str
    actor: str
    seconds: float
    stuck: bool


@dataclass(frozen=True)
class WorkerState:
    """A worker by its last sign of life, which was `silent_seconds` ago; one that lives gives it every two seconds.

    ended: messages of this process, however they ended. lost: it was silent for so long that
    its messages are brought back.
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
    """How the messages of an actor ended in the last minute, hour and day, and what they took in the last hour."""

    name: str
    minute: Counts
    hour: Counts
    day: Counts
    wait: Spread
    run: Spread


def queues(client: redis.Redis, declared: Iterable[str] = ()) -> list[QueueState]:
    """Every queue that was ever used, and those of `declared` as well, by name. Raises redis.RedisError.

    client: one that does not decode, because anyone can send a payload that is no text.
    """
    names = sorted({*declared, *map(text, client.smembers(keys.QUEUES))})
    holders = [text(name) for name in cast("list[bytes | str]", client.zrange(keys.HEARTBEATS, 0, -1))]
    # A transaction: a message that moves in between would be seen in two places, or in none.
    pipeline = client.pipeline(transaction=True)
    for name in names:
        _ask(pipeline, name, holders)
    answers = pipeline.execute()
    each = len(answers) // len(names) if names else 0
    rows = {name: answers[each * n : each * (n + 1)] for n, name in enumerate(names)}
    sent = _sent(client, {name: row[1][0] for name, row in rows.items() if row[1]})
    now = clock(client)
    return [_queue(name, row, sent.get(name, now), now) for name, row in rows.items()]


def workers(client: redis.Redis) -> list[WorkerState]:
    """Every worker that has left a sign of life and is not forgotten yet, by name. Raises redis.RedisError."""
    now = clock(client)
    signs = {text(name): json.loads(sign) for name, sign in client.hgetall(keys.WORKERS).items()}
    return [_worker(name, sign, now) for name, sign in sorted(signs.items())]


def actors(client: redis.Redis) -> list[ActorState]:
    """Every actor of whom a message ended in the last day, by name. Raises redis.RedisError."""
    now = clock(client)
    # The short ones first: what ends in between is then in the longer ones as well, never the other way round.
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


def _ask(pipeline: Any, queue: str, holders: list[str]) -> None:
    """The same number of commands for each queue, in the order in which `_queue` reads the answers."""
    pipeline.llen(keys.ready(queue))
    pipeline.lrange(keys.ready(queue), 0, 0)
    pipeline.zcard(keys.delayed(queue))
    pipeline.zrange(keys.delayed(queue), 0, 0, withscores=True)
    pipeline.zcard(keys.dead(queue))
    pipeline.sismember(keys.PAUSED, queue)
    for worker in holders:
        pipeline.zcard(keys.held(worker, queue))


def _sent(client: redis.Redis, heads: dict[str, Any]) -> dict[str, float]:
    """Since when the message with this id at the head of each queue is ready (seconds since 1970)."""
    pipeline = client.pipeline(transaction=False)
    for queue, id_ in heads.items():
        pipeline.hget(keys.payloads(queue), id_)
    sent = {}
    for queue, payload in zip(heads, pipeline.execute(), strict=True):
        # It may have been taken by now, and anyone can send what nobody can read.
        with suppress(ValueError, TypeError, KeyError):
            message = json.loads(payload)
            sent[queue] = max(message["message_timestamp"], message.get("options", {}).get("eta") or 0) / 1000
    return sent


def _queue(name: str, row: list[Any], sent: float, now: float) -> QueueState:
    ready, _, delayed, first_delayed, failed, paused, *held = row
    due = first_delayed[0][1] / 1000 if first_delayed else now
    return QueueState(
        name=name,
        ready=ready,
        in_flight=sum(held),
        delayed=delayed,
        failed=failed,
        paused=bool(paused),
        oldest_seconds=_rounded(now - sent),
        overdue_seconds=_rounded(now - due),
    )


def _worker(name: str, sign: dict[str, Any], now: float) -> WorkerState:
    silent = _rounded(now - sign["time"])
    return WorkerState(
        name=name,
        state=sign["state"],
        lost=silent > LOST_SECONDS,
        silent_seconds=silent,
        pid=sign["pid"],
        # By the worker's own clock, as its sign is.
        uptime_seconds=_rounded(sign["time"] - sign["started"]),
        threads=sign["threads"],
        queues=tuple(sign["queues"]),
        ended=sign["ended"],
        memory_bytes=sign["memory"],
        running=tuple(
            RunningMessage(message["message_id"], message["actor"], message["seconds"], message["stuck"])
            for message in sign["running"]
        ),
    )


def _rounded(seconds: float) -> float:
    """To the millisecond, and 0 where the clocks of two hosts say that it is still to come."""
    return round(max(0.0, seconds), 3)
