"""POST /jobs as a workload of Tandem: the record and its message are stored together, or neither is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dramatiq
import jobs

from tandem import JobRecord, Settings, Workload, connect, get_broker

if TYPE_CHECKING:
    from flask import Blueprint


@dramatiq.actor(queue_name="jobs")
def run_job(job_id: str) -> None:
    """Notes in its record that the job is done."""
    connect(Settings.current()).hset(jobs.key(job_id), "status", "done")


def _blueprint(settings: Settings) -> Blueprint:
    from flask import Blueprint, abort, request

    routes = Blueprint("jobs", __name__)

    @routes.post("/jobs")
    def create() -> tuple[dict[str, Any], int, dict[str, str]]:
        job = jobs.parse(request.get_json(silent=True))
        if job is None:
            abort(422, jobs.EXPECTED)
        record = JobRecord(jobs.key(job["id"]), job, index=jobs.INDEX, member=job["id"])
        get_broker().enqueue_once(run_job.message(job["id"]), record, most_waiting=settings.queue_limit)
        return jobs.accepted(job)

    return routes


workload = Workload(name="jobs", blueprint=_blueprint)
