"""/healthz: the process is alive. /readyz: it can serve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from flask import Flask, Response, jsonify
from pydantic import BaseModel
from werkzeug.exceptions import ServiceUnavailable

from tandem.config.settings import Settings
from tandem.health import checks
from tandem.health.queue_checks import queue_checks
from tandem.openapi.access import public
from tandem.web.auth import Authentication
from tandem.web.readiness import Busy, SharedReadiness
from tandem.workload import Workload


class Alive(BaseModel):
    """The response of /healthz."""

    status: Literal["ok"]


class CheckResult(BaseModel):
    """The result of one check. If there is an API_TOKEN, `detail` is only for clients with it."""

    status: Literal["ok", "warn", "away", "fail"]
    detail: str | None = None


class Readiness(BaseModel):
    """The response of /readyz: the worst status, and each check by its name."""

    status: Literal["ok", "warn", "away", "fail"]
    checks: dict[str, CheckResult]


def register(app: Flask, settings: Settings, workloads: Iterable[Workload], authentication: Authentication) -> None:
    """Add both routes; /readyz checks the queue and the dependencies of the workloads."""
    all_checks = queue_checks(settings)
    for workload in workloads:
        all_checks += workload.checks(settings)
    # Requests that wait for a result occupy threads.
    shared = SharedReadiness(lambda: checks.run(all_checks), max_waiting=settings.web_threads // 4)

    @app.get("/healthz")
    @public
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    @public
    def readyz() -> tuple[Response, int]:
        try:
            results = shared.results()
        except (Busy, TimeoutError) as error:
            raise ServiceUnavailable("the checks are still running: try again in a moment", retry_after=1) from error
        status = checks.worst(results)
        # Details contain addresses and versions, which are not public.
        full = authentication.is_authenticated()
        shown = {r.name: {"status": r.status, **({"detail": r.detail} if full else {})} for r in results}
        return jsonify(status=status, checks=shown), 503 if status in (checks.Status.FAIL, checks.Status.AWAY) else 200
