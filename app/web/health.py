"""/healthz: the process is alive. /readyz: it can serve."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask, Response, jsonify

from app.queueing import checks
from app.queueing.workload import Workload
from app.settings import Settings


def register(app: Flask, settings: Settings, workloads: Iterable[Workload]) -> None:
    """Adds both routes; /readyz looks at the queue and at what the workloads depend on."""
    all_checks = checks.queue_checks(settings)
    for workload in workloads:
        all_checks += workload.checks(settings)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        results = checks.run(all_checks)
        status = checks.worst(results)
        body = {
            "status": status,
            "checks": {result.name: {"status": result.status, "detail": result.detail} for result in results},
        }
        return jsonify(body), 503 if status == checks.Status.FAIL else 200
