"""The queue's own checks: Redis answers, accepts writes, and is one that loses nothing."""

from __future__ import annotations

from typing import cast

import redis

from tandem.broker import requirements
from tandem.broker.connection import NO_ANSWER, connect
from tandem.broker.disk import Disk
from tandem.config.settings import Settings
from tandem.health.checks import Check, Fail, Warn

#: The used share of Redis's memory from which a check warns.
WARN_FULL = 0.8


def queue_checks(settings: Settings) -> list[Check]:
    """Return the checks that Redis answers, accepts writes, and meets the requirements against data loss."""
    client, disk = connect(settings), Disk.of(settings)

    def check_redis() -> str:
        try:
            client.ping()
        except redis.RedisError as error:
            raise Fail(f"{NO_ANSWER}: {error}") from error
        return "answers"

    def check_queue() -> str:
        info = _info(client)
        if reason := _refuses_writes(info) or (disk.shortage() if disk else ""):
            raise Fail(f"messages cannot be stored: {reason}")
        if info["used_memory"] >= WARN_FULL * info["maxmemory"] > 0:
            raise Warn(
                f"Redis's memory is {info['used_memory'] / info['maxmemory']:.0%} full ({info['maxmemory_human']}), "
                "and new work is refused when it is full: raise its maxmemory (REDIS_MAXMEMORY), or store less"
            )
        return "accepts messages"

    def check_setup() -> str:
        info = _info(client)
        found = requirements.faults(info)
        if found:
            severity = Fail if any(fault.fatal for fault in found) else Warn
            raise severity("; ".join(fault.sentence for fault in found))
        return f"version {info['redis_version']}, noeviction, append-only file"

    return [Check("redis", check_redis), Check("queue", check_queue), Check("redis setup", check_setup)]


def _info(client: redis.Redis) -> requirements.Info:
    """Return Redis's INFO. Raises Warn if INFO is not permitted, and Fail."""
    try:
        return cast("requirements.Info", client.info())
    except redis.exceptions.BusyLoadingError as error:
        raise Fail("messages cannot be stored yet: Redis is loading its data") from error
    except redis.ResponseError as error:
        raise Warn(requirements.unknown(error)) from error
    except redis.RedisError as error:
        raise Fail(f"{NO_ANSWER}: {error}") from error


def _refuses_writes(info: requirements.Info) -> str:
    """Return why Redis refuses writes now, or ''."""
    if info["role"] != "master":
        return f"Redis is a {info['role']}, which is read-only"
    if info["loading"]:
        return "Redis is loading its data"
    if 0 < info["maxmemory"] <= info["used_memory"]:
        return f"Redis's memory is full ({info['maxmemory_human']})"
    if info.get("aof_last_write_status", "ok") != "ok":
        return "Redis could not write its append-only file, so its disk is full or broken: free disk space"
    return ""
