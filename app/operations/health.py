"""What `queue health` looks at beyond the queue itself: supervisor's programs and the web's answer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn

import httpx

from app.operations import supervisor
from app.queueing import signs
from app.queueing.checks import Check, Fail
from app.settings import Settings

WEB_URL = "http://127.0.0.1:8000/healthz"
WEB_TIMEOUT = 3.0
REPLACED_WITHIN_SECONDS = 10
# The program that ends when it has done its work.
ONE_SHOT = "prepare"


def container_checks(settings: Settings) -> list[Check]:
    """One check for each process that supervisor should be running here, and one for the web's answer."""
    result = list(_process_checks(settings))
    if "web" in settings.started_programs:
        result.append(Check("web answers", _look_at_web))
    return result


def _process_checks(settings: Settings) -> Iterator[Check]:
    try:
        processes = supervisor.processes()
    except supervisor.SupervisorAway as error:
        yield Check("supervisord", partial(_fail, str(error)))
        return
    found = signs.read()
    for process in processes:
        yield Check(process["name"], partial(_look_at_process, process, found.get(process["name"])))
    for missing in set(settings.started_programs) - {process["group"] for process in processes}:
        yield Check(missing, partial(_fail, "supervisor does not know this program: its configuration is gone"))


def _look_at_process(process: dict[str, Any], sign: dict[str, Any] | None) -> str:
    state = f"{process['statename']} {process['description']}".rstrip()
    if process["group"] == "worker" and _is_being_replaced(process):
        return f"{state}, is being replaced"
    if process["group"] == ONE_SHOT and process["statename"] == "EXITED" and process["exitstatus"] == 0:
        return f"{state}, has done its work"
    if process["statename"] != "RUNNING":
        _fail(state)
    if process["group"] != "worker":
        return state
    if sign is None or sign["pid"] != process["pid"]:
        if process["now"] - process["start"] > signs.FIRST_SIGN_SECONDS:
            _fail(f"{state}, but it gave no sign of life since its start")
        return f"{state}, starting"
    if trouble := signs.trouble(sign):
        _fail(f"{state}, but {trouble}")
    return f"{state}, {signs.summary(sign)}"


def _is_being_replaced(process: dict[str, Any]) -> bool:
    """A worker that left a moment ago and starts again: with small limits there is one at every look."""
    just_left = process["stop"] > 0 and process["now"] - process["stop"] < REPLACED_WITHIN_SECONDS
    return just_left and process["statename"] in ("STARTING", "EXITED")


def _fail(reason: str) -> NoReturn:
    raise Fail(reason)


def _look_at_web() -> str:
    try:
        response = httpx.get(WEB_URL, timeout=WEB_TIMEOUT, trust_env=False)
    except httpx.HTTPError as error:
        raise Fail(f"no answer at {WEB_URL}: {error}") from error
    if response.status_code != 200:
        raise Fail(f"{response.status_code} at {WEB_URL}")
    return f"200 in {response.elapsed.total_seconds() * 1000:.0f} ms"
