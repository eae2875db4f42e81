"""Kills something right before or after a step of tandem.sql, once, when a test has armed that point.

A point is `WHO MOMENT STEP WHAT`: the process (worker, web or outbox) that comes to the moment (before or after) of a
step (commit, send or ack), and what is killed then: itself, redis, database or container. Each process has one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ARMED = Path("/run/tandem/kill-points")
# It does not go on before what it has killed is dead (seconds).
PAUSE = 0.3


def arm(point: str) -> None:
    """Arm a point; it disarms itself when it is reached."""
    ARMED.mkdir(exist_ok=True)
    draft = ARMED / f".{point.split()[0]}.{threading.get_ident()}"
    draft.write_text(point)
    draft.rename(ARMED / point.split()[0])


def install() -> None:
    """Put the points around the steps in this process."""
    from sqlalchemy.orm import Session

    from tandem.broker.broker import Broker
    from tandem.broker.store import MessageStore

    for owner, name, step in (
        (Session, "commit", "commit"),
        (Broker, "send_relayed", "send"),
        (MessageStore, "ack", "ack"),
    ):
        setattr(owner, name, _around(step, getattr(owner, name)))


def _around(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **more: Any) -> Any:
        _reach("before", step)
        result = function(*arguments, **more)
        _reach("after", step)
        return result

    return call


def _reach(moment: str, step: str) -> None:
    armed = ARMED / os.environ.get("SUPERVISOR_GROUP_NAME", "nobody")
    try:
        _, when, where, what = armed.read_text().split()
        if (when, where) != (moment, step):
            return
        armed.rename(ARMED / f".reached.{os.getpid()}")
    except (FileNotFoundError, ValueError):
        return  # none, or another thread was faster
    _KILL[what]()


def _itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _redis() -> None:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"redis-server") or b"/redis-server" in command.split(b"\0")[0]:
            os.kill(int(process.name), signal.SIGKILL)
    time.sleep(PAUSE)


def _database() -> None:
    """Kill the first process of the server, as its superuser can."""
    import psycopg

    try:
        with psycopg.connect(os.environ["ADMIN_URL"], autocommit=True, connect_timeout=5) as admin:
            admin.execute("COPY (SELECT 1) TO PROGRAM 'kill -9 1'")
            admin.execute("COPY (SELECT 1) TO PROGRAM 'kill -9 $(head -n 1 $PGDATA/postmaster.pid)'")
    except psycopg.Error:
        pass  # it is dead
    time.sleep(PAUSE)


def _container() -> None:
    """Kill every process of the container but its first, which ends with them."""
    os.kill(-1, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


_KILL = {"itself": _itself, "redis": _redis, "database": _database, "container": _container}
