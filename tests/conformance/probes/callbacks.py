"""Probes of callbacks."""

from __future__ import annotations

from typing import Any

from tests.conformance.probes.lab import (
    QUICK,
    Lab,
    add,
    failing,
)


def _callbacks(lab: Lab, times: int, retries: int) -> object:
    told: list[Any] = []

    def on_success(message: dict[str, Any], result: Any) -> None:
        told.append(["success", message["args"], sorted(message), result])

    def on_failure(message: dict[str, Any], error: dict[str, str]) -> None:
        options = message["options"]
        told.append(
            ["failure", message["args"], sorted(message), error, options.get("retries"), "traceback" in options]
        )

    good, bad = lab.actor(on_success, "good"), lab.actor(on_failure, "bad")
    work = lab.actor(failing(times), **{**QUICK, "max_retries": retries})
    work.send_with_options(args=(1,), on_success=good, on_failure=bad)
    lab.work(work, good, bad)
    return sorted(map(str, told))


for _times in range(4):
    for _count in (0, 1, 2):
        add(f"callbacks after {_times} failures and at most {_count} retries", _callbacks, _times, _count)
