"""/healthz: the process is alive. /readyz: it can serve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from flask import Flask, Response, jsonify
from pydantic import BaseModel

from app.api.access import open_to_all
from app.queueing import checks
from app.queueing.workload import Workload
from app.settings import Settings
from app.web.guard import Guard


class Alive(BaseModel):
    """What /healthz answers."""

    status: Literal["ok"]


class CheckResult(BaseModel):
    """What one check saw. `detail` is for those who know the API_TOKEN, where there is one."""

    status: Literal["ok", "warn", "fail"]
    detail: str | None = None


class Readiness(BaseModel):
    """What /readyz answers: the worst status, and each check by its name."""

    status: Literal["ok", "warn", "fail"]
    checks: dict[str, CheckResult]


def register(app: Flask, settings: Settings, workloads: Iterable[Workload], guard: Guard) -> None:
    """Adds both routes; /readyz looks at the queue and at what the workloads depend on."""
    all_checks = checks.queue_checks(settings)
    for workload in workloads:
        all_checks += workload.checks(settings)

    @app.get("/healthz")
    @open_to_all
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    @open_to_all
    def readyz() -> tuple[Response, int]:
        results = checks.run(all_checks)
        status = checks.worst(results)
        # Details name addresses and versions, which are nothing for strangers.
        full = guard.knows()
        told = {r.name: {"status": r.status, **({"detail": r.detail} if full else {})} for r in results}
        return jsonify(status=status, checks=told), 503 if status == checks.Status.FAIL else 200
