"""Gathers the figures of one look at the container and at the queue; what cannot be seen is left out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any, TypeVar

import redis

from app import environment
from app.operations import footprint, restarts, supervisor
from app.operations.alarms import Readings
from app.queueing import signs
from app.queueing.connection import clock
from app.queueing.overview import queues
from app.queueing.statistics import window

logger = logging.getLogger(__name__)

T = TypeVar("T")
WEB = ("127.0.0.1", 8000)
# The checks of /readyz ask others, each with a timeout of its own.
WEB_TIMEOUT = 10.0
# The silence of a program that was just started says nothing.
START_SECONDS = 20
FAILURE_SECONDS = 600
# Of web's checks, the one that the monitor makes itself, and the one that fails with it.
_REDIS_CHECK, _QUEUE_CHECK = "redis", "queue"


class WorkersDown:
    """Since when each worker is down: not running, or without a sign of life."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def look(self, processes: list[dict[str, Any]], found: dict[str, dict[str, Any]]) -> dict[str, float]:
        """Seconds for each worker that is down by now. One that is well at one look starts anew."""
        down = {p["name"]: p for p in processes if p["group"] == "worker" and not _is_well(p, found.get(p["name"]))}
        self._since = {name: self._since.get(name, _down_since(process)) for name, process in down.items()}
        return {name: max(0.0, process["now"] - self._since[name]) for name, process in down.items()}


def _is_well(process: dict[str, Any], sign: dict[str, Any] | None) -> bool:
    """Whether it runs and shows it; one that stops may take its time for the messages that it has."""
    if process["statename"] not in ("RUNNING", "STOPPING"):
        return False
    if sign is None or sign["pid"] != process["pid"]:
        return bool(process["now"] - process["start"] <= signs.FIRST_SIGN_SECONDS)
    return signs.trouble(sign) is None


def _down_since(process: dict[str, Any]) -> float:
    """One that nothing starts any more is down since it ended, also when nobody looked."""
    ended: float = process["stop"] if process["statename"] in ("FATAL", "STOPPED") else 0
    return ended or float(process["now"])


class Gatherer:
    """Looks at everything. `client`: the queue's Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._workers_down = WorkersDown()

    def look(self) -> Readings:
        """One look. It takes as long as the slowest of those who are asked, which is bounded."""
        processes = _or_none(supervisor.processes, "supervisord", supervisor.SupervisorAway)
        figures: dict[str, Any] = {
            **self._queue_figures(processes or []),
            "memory": _or_none(footprint.memory, "memory", OSError),
            "disks": footprint.disks(),
            "restarts": _or_none(restarts.recent, "restarts", OSError),
        }
        if processes is not None:
            figures["workers_down"] = self._workers_down.look(processes, signs.read())
            figures |= _web_figures(processes, redis_answers=figures.get("redis") == "")
        return Readings(**figures)

    def _queue_figures(self, processes: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            ended = window(self._client, FAILURE_SECONDS, clock(self._client))
            return {"redis": "", "queues": queues(self._client), "ended": ended}
        except redis.RedisError as error:
            return {} if _is_young("redis", processes) else {"redis": str(error)}


def _web_figures(processes: list[dict[str, Any]], *, redis_answers: bool) -> dict[str, Any]:
    if not any(process["group"] == "web" for process in processes):
        return {}
    try:
        checks = _checks()
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        return {} if _is_young("web", processes) else {"web": f"{type(error).__name__}: {error}"}
    hidden = {_REDIS_CHECK} if redis_answers else {_REDIS_CHECK, _QUEUE_CHECK}
    return {"web": "", "checks": {name: trouble for name, trouble in checks.items() if name not in hidden}}


def _checks() -> dict[str, str]:
    """What web says of what the work depends on: name -> what is wrong, or nothing."""
    connection = HTTPConnection(*WEB, timeout=WEB_TIMEOUT)
    try:
        token = environment.secret("API_TOKEN")
        connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {token}"} if token else {})
        checks = json.loads(connection.getresponse().read())["checks"]
    finally:
        connection.close()
    return {name: "" if check["status"] == "ok" else str(check["detail"]) for name, check in checks.items()}


def _is_young(group: str, processes: list[dict[str, Any]]) -> bool:
    return any(
        process["statename"] in ("STARTING", "RUNNING") and process["now"] - process["start"] < START_SECONDS
        for process in processes
        if process["group"] == group
    )


def _or_none(look: Callable[[], T], what: str, *errors: type[Exception]) -> T | None:
    try:
        return look()
    except errors as error:
        logger.debug("%s cannot be seen: %s", what, error)
        return None
