"""Health checks: what one is, how a list of them is run, and the queue's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import redis

from app.queueing.connection import connect
from app.settings import Settings

logger = logging.getLogger(__name__)


class Status(StrEnum):
    """`WARN` is for what work has to wait for while everything is still accepted and kept."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Result:
    """What a check saw; `detail` is a sentence for people."""

    name: str
    status: Status
    detail: str


@dataclass(frozen=True)
class Check:
    """A named look at something. `look` returns what it saw, quickly, and raises Warn or Fail with the reason."""

    name: str
    look: Callable[[], str]


class Fail(Exception):
    """The service cannot be given."""


class Warn(Exception):
    """The service is given, but a part of it has to wait."""


def run(checks: Iterable[Check]) -> list[Result]:
    """Runs every check, one after the other. A check that breaks counts as one that failed."""
    return [_run(check) for check in checks]


def worst(results: Iterable[Result]) -> Status:
    """The status of the whole."""
    seen = {result.status for result in results}
    return next((status for status in (Status.FAIL, Status.WARN) if status in seen), Status.OK)


def _run(check: Check) -> Result:
    try:
        return Result(check.name, Status.OK, check.look())
    except Warn as reason:
        return Result(check.name, Status.WARN, str(reason))
    except Fail as reason:
        return Result(check.name, Status.FAIL, str(reason))
    except Exception as error:
        logger.exception("the check %s broke", check.name)
        return Result(check.name, Status.FAIL, f"the check itself broke: {type(error).__name__}: {error}")


def queue_checks(settings: Settings) -> list[Check]:
    """Redis answers, and it takes writes."""
    client = connect(settings)

    def look_at_redis() -> str:
        try:
            client.ping()
        except redis.RedisError as error:
            raise Fail(f"Redis does not answer: {error}") from error
        return "answers"

    def look_at_queue() -> str:
        try:
            role = client.info("replication")["role"]
            loading = client.info("persistence")["loading"]
            memory = client.info("memory")
        except redis.RedisError as error:
            raise Fail(f"messages cannot be stored: {error}") from error
        if role != "master":
            raise Fail(f"messages cannot be stored: Redis is a {role}, which is read-only")
        if loading:
            raise Fail("messages cannot be stored yet: Redis is loading its data")
        if 0 < memory["maxmemory"] <= memory["used_memory"]:
            raise Fail(f"messages cannot be stored: Redis's memory is full ({memory['maxmemory_human']})")
        return "takes messages"

    return [Check("redis", look_at_redis), Check("queue", look_at_queue)]
