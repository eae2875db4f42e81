"""What POST /jobs checks, stores and answers, the same for everybody who stores a record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

#: Only Tandem keeps it: the names of all records, in a sorted set.
INDEX = "bench:jobs"
EXPECTED = "expected a JSON object with text, a string of 1 to 10,000 characters"


def key(job_id: str) -> str:
    return f"bench:job:{job_id}"


def parse(body: Any) -> dict[str, str] | None:
    """Returns the fields of a new record, or None when the body is invalid."""
    text = body.get("text") if isinstance(body, dict) else None
    if not isinstance(text, str) or not 1 <= len(text) <= 10_000:
        return None
    return {"id": str(uuid4()), "status": "queued", "text": text, "created_at": datetime.now(UTC).isoformat()}


def accepted(job: dict[str, str]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Returns the answer of Flask to a request whose job was stored."""
    return {"id": job["id"], "status": job["status"]}, 202, {"Location": f"/jobs/{job['id']}"}
