"""Requirements on a Redis so that no accepted message is lost, checked against its INFO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import redis

MIN_VERSION = 7
Info = Mapping[str, Any]


class Unusable(redis.RedisError):
    """A Redis on which no message can ever be sent or handled."""


class Fault(NamedTuple):
    """An unmet requirement. `fatal`: work cannot be accepted, or accepted messages are lost."""

    fatal: bool
    sentence: str


def require_usable(client: redis.Redis) -> None:
    """Raise Unusable with one line for a Redis that cannot run a worker's commands. Raises redis.RedisError."""
    try:
        info = client.info("server")
    except redis.ResponseError:
        return  # the checks report that INFO was refused
    if reason := _version(info) or _cluster(info):
        raise Unusable(reason)


def faults(info: Info) -> list[Fault]:
    """Return the unmet requirements, the worst first; fields that INFO lacks are not checked."""
    return [Fault(fatal, sentence) for fatal, rule in _RULES if (sentence := rule(info))]


def unknown(error: Exception) -> str:
    """Return the sentence of a check that may not read INFO."""
    return (
        f"version, role, cluster mode, eviction and append-only file are unknown, because INFO was refused ({error}): "
        "allow it with ACL SETUSER <user> +info"
    )


def _version(info: Info) -> str:
    version = str(info.get("redis_version", ""))
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) >= MIN_VERSION:
        return ""
    return f"Redis is version {version}: expected {MIN_VERSION}.0 or newer"


def _cluster(info: Info) -> str:
    if info.get("redis_mode") != "cluster" and not info.get("cluster_enabled"):
        return ""
    return (
        "Redis is in cluster mode, in which no message can be sent: expected a single Redis (cluster-enabled no) or "
        "one that Sentinels monitor"
    )


def _evicts_messages(info: Info) -> str:
    policy = _policy(info)
    if not policy.startswith("allkeys"):
        return ""
    return (
        f"Redis drops accepted messages when its memory is full (maxmemory-policy {policy}): expected noeviction; "
        "type CONFIG SET maxmemory-policy noeviction"
    )


def _evicts_expiring_keys(info: Info) -> str:
    policy = _policy(info)
    if not policy.startswith("volatile"):
        return ""
    return (
        f"Redis drops results before they expire when its memory is full (maxmemory-policy {policy}): expected "
        "noeviction; type CONFIG SET maxmemory-policy noeviction"
    )


def _policy(info: Info) -> str:
    return str(info.get("maxmemory_policy", ""))


def _has_no_aof(info: Info) -> str:
    if info.get("aof_enabled", 1):
        return ""
    return (
        "Redis keeps no append-only file, so a restart loses the messages accepted since its last snapshot: expected "
        "appendonly yes; type CONFIG SET appendonly yes"
    )


_RULES: tuple[tuple[bool, Callable[[Info], str]], ...] = (
    (True, _version),
    (True, _cluster),
    (True, _evicts_messages),
    (False, _evicts_expiring_keys),
    (False, _has_no_aof),
)
