"""Probes of results, and of failures as results."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.results import ResultFailure, ResultMissing

from tests.conformance.probes.lab import (
    QUICK,
    Lab,
    Oh,
    add,
    failing,
    probe,
)

VALUES: dict[str, Any] = {
    "a number": 42,
    "text": "☃",
    "None": None,
    "False": False,
    "an empty list": [],
    "a dictionary": {"a": [1, {"b": None}]},
}


def _result(lab: Lab, value: Any, **options: Any) -> object:
    work = lab.actor(lambda: value, store_results=True, **options)
    sent = work.send()
    lab.work(work)
    return sent.get_result(backend=lab.results, block=True, timeout=1000)


for _name, _value in VALUES.items():
    add(f"result: {_name}", _result, _value)


def _failure(lab: Lab, times: int, **options: Any) -> object:
    work = lab.actor(failing(times), **{**QUICK, "store_results": True, **options})
    sent = work.send()
    lab.work(work)
    try:
        return sent.get_result(backend=lab.results)
    except ResultFailure as error:
        return [str(error), error.orig_exc_type, error.orig_exc_msg]
    except ResultMissing:
        return "missing"


RESULTS_OF_FAILURES: dict[str, tuple[int, dict[str, Any]]] = {
    "at the only attempt": (9, {"max_retries": 0}),
    "at the last attempt": (9, {"max_retries": 2}),
    "before a success": (1, {"max_retries": 2}),
    "that the actor throws": (9, {"max_retries": 2, "throws": Oh}),
    "that retry_when refuses": (9, {"retry_when": lambda *_: False}),
    "without store_results": (9, {"max_retries": 0, "store_results": False}),
}
for _name, (_times, _options) in RESULTS_OF_FAILURES.items():
    add(f"result of a failure: {_name}", _failure, _times, **_options)


@probe("a result that is asked for by a copy of the message")
def _(lab: Lab) -> object:
    work = lab.actor(lambda: 7, store_results=True)
    sent = work.send()
    lab.work(work)
    return dramatiq.Message.decode(sent.encode()).get_result(backend=lab.results)


@probe("store_results of a message")
def _(lab: Lab) -> object:
    work = lab.actor(lambda: 7)
    sent = work.send_with_options(store_results=True)
    lab.work(work)
    return sent.get_result(backend=lab.results)
