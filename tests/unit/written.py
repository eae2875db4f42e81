"""Writes to Redis what workers write, so that its readers can be tested without one (see tandem/broker/keys.py)."""

from __future__ import annotations

import json
import time
from typing import Any

import redis

from tandem.broker import keys, statistics


def ended(
    client: redis.Redis, actor: str, outcome: str, at: float, *, wait_ms: float = 1, run_ms: float = 1, times: int = 1
) -> None:
    """Store that messages of an actor have ended at a time (seconds since 1970)."""
    for step in statistics.STEPS:
        client.hincrby(keys.counts(step, int(at) // step), f"{actor}\t{outcome}", times)
    minute = keys.times(int(at) // 60)
    for what, milliseconds in (("wait", wait_ms), ("run", run_ms)):
        client.hincrby(minute, f"{actor}\t{what}\t{statistics.bucket(milliseconds)}", times)
        client.hincrby(minute, f"{actor}\t{what}\tsum", int(milliseconds * 1000) * times)


def ready(client: redis.Redis, queue: str, id_: str, *, age: float = 0) -> None:
    """Add a ready message that was sent `age` seconds ago."""
    payload = {"message_timestamp": int((time.time() - age) * 1000)}
    client.sadd(keys.QUEUES, queue)
    client.hset(keys.payloads(queue), id_, json.dumps(payload))
    client.rpush(keys.ready(queue), id_)


def delayed(client: redis.Redis, queue: str, id_: str, *, due_in: float) -> None:
    """Add a message that is due in `due_in` seconds."""
    client.sadd(keys.QUEUES, queue)
    client.zadd(keys.delayed(queue), {id_: (time.time() + due_in) * 1000})


def claimed(client: redis.Redis, queue: str, worker: str, *ids: str) -> None:
    """Add messages that a worker has claimed."""
    client.sadd(keys.QUEUES, queue)
    client.zadd(keys.HEARTBEATS, {worker: time.time() * 1000})
    client.zadd(keys.claimed(worker, queue), dict.fromkeys(ids, 1.0))


def dead(client: redis.Redis, queue: str, *ids: str) -> None:
    """Add dead letters."""
    client.sadd(keys.QUEUES, queue)
    client.zadd(keys.dead(queue), dict.fromkeys(ids, time.time() * 1000))


def heartbeat(client: redis.Redis, worker: str, *, age: float = 0, **fields: Any) -> None:
    """Store a worker's heartbeat of `age` seconds ago, when it had been running for an hour."""
    now = time.time() - age
    state = {
        "pid": 25,
        "beat": 1800,
        "time": now,
        "state": "consuming",
        "ended": 1234,
        "memory": 48 * 2**20,
        "running": [],
        "started": now - 3600,
        "queues": [],
        "threads": 4,
    }
    client.hset(keys.WORKERS, worker, json.dumps(state | fields))
