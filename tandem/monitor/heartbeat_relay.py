"""The monitor sends heartbeats to Redis for every worker of its container whose process is alive.

A worker whose interpreter is blocked for a while (by a C extension that does not release it) cannot send heartbeats
itself, and must not be considered lost: its messages would run a second time elsewhere.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

import redis

from tandem.broker import keys
from tandem.broker.connection import clock
from tandem.support.periodic import Periodic
from tandem.worker import heartbeat_file


class HeartbeatRelay:
    """Sends heartbeats every two seconds as long as the process runs."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def start(self) -> None:
        """Start to send."""
        step, interval = lambda: self.send(alive()), heartbeat_file.BEAT_SECONDS
        Periodic("heartbeat relay", step, interval, expected=(redis.RedisError,)).start()

    def send(self, names: Iterable[str]) -> None:
        """Send a heartbeat for the workers with these process names. Raises redis.RedisError."""
        now = int(clock(self._redis) * 1000)
        beats = {f"{socket.gethostname()}:{name}": now for name in names}
        if beats:
            self._redis.zadd(keys.HEARTBEATS, beats)


def alive() -> list[str]:
    """Return the workers that have written a heartbeat and whose process exists."""
    return [name for name, heartbeat in heartbeat_file.read().items() if _exists(heartbeat["pid"])]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
