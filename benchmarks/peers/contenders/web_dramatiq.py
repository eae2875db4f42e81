"""POST /jobs as people write it with Flask and stock dramatiq: a record with HSET, then a message with `send`.

A process that is killed between the two leaves a record whose message was never sent.
"""

from __future__ import annotations

from typing import Any

import dramatiq
import jobs
from dramatiq.brokers.redis import RedisBroker
from flask import Flask, abort, request
from work import URL, client

dramatiq.set_broker(RedisBroker(url=URL))
app = Flask("web_dramatiq")


@dramatiq.actor(queue_name="stock-jobs")
def run_job(job_id: str) -> None:
    """Notes in its record that the job is done."""
    client.hset(jobs.key(job_id), "status", "done")


@app.post("/jobs")
def create() -> tuple[dict[str, Any], int, dict[str, str]]:
    job = jobs.parse(request.get_json(silent=True))
    if job is None:
        abort(422, jobs.EXPECTED)
    client.hset(jobs.key(job["id"]), mapping=job)
    run_job.send(job["id"])
    return jobs.accepted(job)
