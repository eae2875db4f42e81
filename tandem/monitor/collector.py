"""Collects the metrics of the container and the queue; those that cannot be read are left out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any, TypeVar

import redis

from tandem.broker.connection import NO_ANSWER, clock
from tandem.broker.statistics import window
from tandem.config import environment
from tandem.monitor.alert_rules import MetricsSnapshot
from tandem.monitor.schedule_watch import ScheduleWatch
from tandem.operate import auth_failures
from tandem.operate.queue_stats import queues
from tandem.process import resource_usage, restarts, supervisor
from tandem.worker import heartbeat_file

logger = logging.getLogger(__name__)

T = TypeVar("T")
WEB = ("127.0.0.1", 8000)
# The checks of /readyz query other services, each with its own timeout.
WEB_TIMEOUT = 10.0
# A program that was just started need not answer yet.
START_SECONDS = 20
FAILURE_SECONDS = 600
# Of web's checks, the one that the monitor also runs, and the one that fails with it.
_REDIS_CHECK, _QUEUE_CHECK = "redis", "queue"


class WorkersDown:
    """Tracks since when each worker is down: not running, or without a heartbeat."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def check(self, processes: list[dict[str, Any]], heartbeats: dict[str, dict[str, Any]]) -> dict[str, float]:
        """Return the seconds for which each worker is down. A worker that is up at one check starts again from 0."""
        workers = [process for process in processes if process["group"] == "worker"]
        down = {worker["name"]: worker for worker in workers if not _is_up(worker, heartbeats.get(worker["name"]))}
        self._since = {name: self._since.get(name, _down_since(process)) for name, process in down.items()}
        return {name: max(0.0, process["now"] - self._since[name]) for name, process in down.items()}


def _is_up(process: dict[str, Any], heartbeat: dict[str, Any] | None) -> bool:
    """Return whether it runs and sends heartbeats; a stopping worker may take its time to finish its messages."""
    if process["statename"] not in ("RUNNING", "STOPPING"):
        return False
    if heartbeat is None or heartbeat["pid"] != process["pid"]:
        return bool(process["now"] - process["start"] <= heartbeat_file.FIRST_BEAT_SECONDS)
    return heartbeat_file.trouble(heartbeat) is None


def _down_since(process: dict[str, Any]) -> float:
    """Return since when it is down: since its end if supervisor no longer starts it, otherwise since now."""
    ended: float = process["stop"] if process["statename"] in ("FATAL", "STOPPED") else 0
    return ended or float(process["now"])


class Collector:
    """Collects all metrics. `client`: the queue's Redis, which decodes its answers."""

    def __init__(self, client: redis.Redis, schedules: ScheduleWatch | None = None) -> None:
        self._client = client
        self._schedules = schedules
        self._workers_down = WorkersDown()

    def collect(self) -> MetricsSnapshot:
        """Return a snapshot. It waits for each of the queried services, with a timeout."""
        processes = _or_none(supervisor.processes, "supervisord", supervisor.SupervisorUnavailable)
        metrics: dict[str, Any] = {
            **self._queue_metrics(processes or []),
            "memory": _or_none(resource_usage.memory, "memory", OSError),
            "disks": resource_usage.disks(),
            "free": resource_usage.free(),
            "restarts": _or_none(restarts.recent, "restarts", OSError),
        }
        if processes is not None:
            metrics["workers_down"] = self._workers_down.check(processes, heartbeat_file.read())
            metrics |= _web_metrics(processes, redis_answers=metrics.get("redis") == "")
        return MetricsSnapshot(**metrics)

    def _queue_metrics(self, processes: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            now = clock(self._client)
            ended, wrong_tokens = window(self._client, FAILURE_SECONDS, now), auth_failures.recent(self._client, now)
            return {
                "redis": "",
                "queues": queues(self._client),
                "ended": ended,
                "wrong_tokens": wrong_tokens,
                "schedules": self._schedules.overdue() if self._schedules else {},
            }
        except redis.RedisError as error:
            return {} if _is_young("redis", processes) else {"redis": str(error)}


def _web_metrics(processes: list[dict[str, Any]], *, redis_answers: bool) -> dict[str, Any]:
    if not any(process["group"] == "web" for process in processes):
        return {}
    try:
        checks = _checks()
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        return {} if _is_young("web", processes) else {"web": f"{type(error).__name__}: {error}"}
    hidden = {_REDIS_CHECK} if redis_answers else {_REDIS_CHECK, _QUEUE_CHECK}
    seen = {
        name: trouble for name, trouble in checks.items() if name not in hidden and not trouble.startswith(NO_ANSWER)
    }
    return {"web": "", "checks": seen}


def _checks() -> dict[str, str]:
    """Return the checks of web's /readyz: name -> what is wrong, or ''."""
    connection = HTTPConnection(*WEB, timeout=WEB_TIMEOUT)
    try:
        token = environment.api_token()
        connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if "checks" not in answer:
        raise ValueError(answer.get("detail", "/readyz has no checks"))
    checks = answer["checks"]
    return {name: "" if check["status"] == "ok" else str(check["detail"]) for name, check in checks.items()}


def _is_young(group: str, processes: list[dict[str, Any]]) -> bool:
    return any(
        process["statename"] in ("STARTING", "RUNNING") and process["now"] - process["start"] < START_SECONDS
        for process in processes
        if process["group"] == group
    )


def _or_none(read: Callable[[], T], what: str, *errors: type[Exception]) -> T | None:
    try:
        return read()
    except errors as error:
        logger.debug("reading %s failed: %s", what, error)
        return None
