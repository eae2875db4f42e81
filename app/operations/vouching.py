"""The monitor beats in Redis for every worker of its container whose process lives.

A worker whose interpreter is held for a while (a C extension that does not let go of it) cannot beat itself, and must
not be thought lost: its messages would run a second time elsewhere.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterable

import redis

from app.queueing import keys, signs
from app.queueing.connection import clock

logger = logging.getLogger(__name__)


class Vouching(threading.Thread):
    """Beats every two seconds for ever, and ends with its process."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(name="vouching", daemon=True)
        self._redis = client

    def run(self) -> None:
        pause = threading.Event()
        while not pause.wait(signs.BEAT_SECONDS):
            try:
                self.beat(alive())
            except redis.RedisError as error:
                logger.debug("nobody hears of the workers: %s", error)
            except Exception:
                logger.exception("vouching for the workers broke")

    def beat(self, names: Iterable[str]) -> None:
        """Beats for the workers with these process names. Raises redis.RedisError."""
        now = int(clock(self._redis) * 1000)
        beats = {f"{socket.gethostname()}:{name}": now for name in names}
        if beats:
            self._redis.zadd(keys.HEARTBEATS, beats)


def alive() -> list[str]:
    """The workers that have left a sign and whose process is there."""
    return [name for name, sign in signs.read().items() if _lives(sign["pid"])]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
