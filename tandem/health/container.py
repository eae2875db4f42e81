"""The checks of this container: supervisor's programs and the web's answer. Imports the standard library only."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any, NoReturn

from tandem.health.checks import Check, Fail, Warn
from tandem.process import embedded_redis, supervisor
from tandem.worker import heartbeat_file

WEB = ("127.0.0.1", 8000)
WEB_TIMEOUT = 3.0
REPLACED_WITHIN_SECONDS = 10
# The programs that never end by themselves. `init`, and programs of the application, may have done their work.
ENDLESS = ("redis", "proxy", "web", "worker", "monitor", "eventlistener", "reload")


def container_checks(programs: Collection[str]) -> list[Check]:
    """One check for each process of the programs that supervisor should be running here, and one for the web."""
    result = list(process_checks(programs))
    if "web" in programs:
        result.append(Check("web answers", _check_web))
    if "redis" in programs and (notes := embedded_redis.notes()):
        result.append(Check("redis file", partial(_warn, notes[-1])))
    return result


def process_checks(programs: Collection[str]) -> Iterator[Check]:
    """One check for each process, and for each program that supervisor does not know."""
    try:
        processes = supervisor.processes()
    except supervisor.SupervisorUnavailable as error:
        yield Check("supervisord", partial(_fail, str(error)))
        return
    found = heartbeat_file.read()
    for process in processes:
        yield Check(process["name"], partial(_check_process, process, found.get(process["name"])))
    for missing in set(programs) - {process["group"] for process in processes}:
        yield Check(missing, partial(_fail, "supervisor does not know this program: its configuration is missing"))


def _check_process(process: dict[str, Any], heartbeat: dict[str, Any] | None) -> str:
    state = f"{process['statename']} {process['description']}".rstrip()
    if process["group"] == "worker" and _is_being_replaced(process):
        return f"{state}, is being replaced"
    if process["group"] not in ENDLESS and process["statename"] == "EXITED" and process["exitstatus"] == 0:
        return f"{state}, has done its work"
    if process["statename"] != "RUNNING":
        _fail(state)
    if process["group"] != "worker":
        return state
    if heartbeat is None or heartbeat["pid"] != process["pid"]:
        if process["now"] - process["start"] > heartbeat_file.FIRST_BEAT_SECONDS:
            _fail(f"{state}, but it has sent no heartbeat since its start")
        return f"{state}, starting"
    if trouble := heartbeat_file.trouble(heartbeat):
        _fail(f"{state}, but {trouble}")
    return f"{state}, {heartbeat_file.summary(heartbeat)}"


def _is_being_replaced(process: dict[str, Any]) -> bool:
    """Return whether a worker exited a moment ago and restarts: with small limits there is one at every check."""
    just_exited = process["stop"] > 0 and process["now"] - process["stop"] < REPLACED_WITHIN_SECONDS
    return just_exited and process["statename"] in ("STARTING", "EXITED")


def _fail(reason: str) -> NoReturn:
    raise Fail(reason)


def _warn(reason: str) -> NoReturn:
    raise Warn(reason)


def _check_web() -> str:
    began = time.monotonic()
    status, _ = ask_web("/healthz", WEB_TIMEOUT)
    if status != 200:
        raise Fail(f"{status} at /healthz")
    return f"200 in {(time.monotonic() - began) * 1000:.0f} ms"


def ask_web(path: str, timeout: float, *, token: str = "") -> tuple[int, bytes]:
    """Status and body of the web's answer to a GET. Raises Fail when there is none within `timeout` seconds."""
    connection = HTTPConnection(*WEB, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException) as error:
        raise Fail(f"no answer at http://{WEB[0]}:{WEB[1]}{path}: {error}") from error
    finally:
        connection.close()
