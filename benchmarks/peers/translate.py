"""Sends translations over HTTP and prints how many were done in a second, by the times in their records.

Usage: translate.py HOST COUNT
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from datetime import datetime

import redis
import work

LONGEST = 120.0
client = redis.Redis.from_url(work.URL, decode_responses=True)
BODY = json.dumps({"text": "The house is beautiful.", "source": "en", "target": "es"})


def connect() -> http.client.HTTPConnection:
    """As soon as somebody listens."""
    deadline = time.monotonic() + LONGEST
    while True:
        connection = http.client.HTTPConnection(sys.argv[1], 8000, timeout=10)
        try:
            connection.connect()
            return connection
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def submit() -> str:
    """The key of the record of a new translation."""
    connection.request("POST", "/translations", BODY, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    body = json.load(answer)
    if answer.status != 202:
        sys.exit(f"{answer.status}: {body}")
    return f"tandem:translation:{body['id']}"


def run(count: int) -> float:
    """Translations in a second, from the first one's start to the last one's end."""
    names = [submit() for _ in range(count)]
    deadline = time.monotonic() + LONGEST
    while any(client.hget(name, "status") != "done" for name in reversed(names)):
        if time.monotonic() > deadline:
            sys.exit(f"they were not done within {LONGEST:.0f} s")
        time.sleep(0.25)
    records = [client.hgetall(name) for name in names]
    began = min(datetime.fromisoformat(record["started_at"]) for record in records)
    ended = max(datetime.fromisoformat(record["finished_at"]) for record in records)
    return count / (ended - began).total_seconds()


connection = connect()
run(8)  # connections and imports
print(run(int(sys.argv[2])))
