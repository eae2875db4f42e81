"""Writes into Redis what workers write, so that its readers can be tested without one (see app/queueing/keys.py)."""

from __future__ import annotations

import json
import time
from typing import Any

import redis

from app.queueing import keys, statistics


def ended(
    client: redis.Redis, actor: str, outcome: str, at: float, *, wait_ms: float = 1, run_ms: float = 1, times: int = 1
) -> None:
    """Messages of an actor have ended at a time (seconds since 1970)."""
    for step in statistics.STEPS:
        client.hincrby(keys.counts(step, int(at) // step), f"{actor}\t{outcome}", times)
    minute = keys.times(int(at) // 60)
    for what, milliseconds in (("wait", wait_ms), ("run", run_ms)):
        client.hincrby(minute, f"{actor}\t{what}\t{statistics.bucket(milliseconds)}", times)
        client.hincrby(minute, f"{actor}\t{what}\tsum", int(milliseconds * 1000) * times)


def ready(client: redis.Redis, queue: str, id_: str, *, age: float = 0) -> None:
    """A message waits that was sent `age` seconds ago."""
    payload = {"message_timestamp": int((time.time() - age) * 1000)}
    client.sadd(keys.QUEUES, queue)
    client.hset(keys.payloads(queue), id_, json.dumps(payload))
    client.rpush(keys.ready(queue), id_)


def delayed(client: redis.Redis, queue: str, id_: str, *, due_in: float) -> None:
    """A message is due in so many seconds."""
    client.sadd(keys.QUEUES, queue)
    client.zadd(keys.delayed(queue), {id_: (time.time() + due_in) * 1000})


def held(client: redis.Redis, queue: str, worker: str, *ids: str) -> None:
    """Messages are with a worker."""
    client.sadd(keys.QUEUES, queue)
    client.zadd(keys.HEARTBEATS, {worker: time.time() * 1000})
    client.zadd(keys.held(worker, queue), dict.fromkeys(ids, 1.0))


def dead(client: redis.Redis, queue: str, *ids: str) -> None:
    """Messages became dead letters."""
    client.sadd(keys.QUEUES, queue)
    client.zadd(keys.dead(queue), dict.fromkeys(ids, time.time() * 1000))


def sign(client: redis.Redis, worker: str, *, age: float = 0, **fields: Any) -> None:
    """A worker left its sign of life `age` seconds ago; it had lived for an hour by then."""
    now = time.time() - age
    sign = {
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
    client.hset(keys.WORKERS, worker, json.dumps(sign | fields))
