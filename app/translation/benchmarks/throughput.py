#!/usr/bin/env python3
"""Measures translations in a second with a model that always needs the same time, against the limit of its slots.

Usage: app/translation/benchmarks/throughput.py [--image tandem-app] [--model-image tandem-model] [--count 160]
Needs a Docker engine and both images, which bin/up builds. Translates texts of one part without the cache of answers,
so every one is a call. The time is measured from the first one's start to the last one's end, as their records say.
Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from harness import IMAGE, LIKE_COMPOSE, address, await_, await_healthy, running

#: Seconds that the model needs, and how many calls it takes at the same time.
LATENCY, CONCURRENCY = 0.5, 4
#: Calls before those that are measured, for connections and imports.
WARM_UP = 8
MAX_SECONDS = 120.0
GOAL = 0.97
TEXT = json.dumps({"text": "The house is beautiful.", "source": "en", "target": "es"})


class Client:
    """A client of the container's API, with a connection for each request."""

    def __init__(self, host: str) -> None:
        self._host = host

    def request(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        """Returns the JSON of an answer that is no error."""
        connection = HTTPConnection(self._host, 8000, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            if answer.status >= 400:
                raise SystemExit(f"{method} {path}: {answer.status} {answer.read()[:200]!r}")
            return dict(json.load(answer))
        finally:
            connection.close()

    def is_done(self, id_: str) -> bool:
        """Tells whether a translation is done; ends the program when it failed."""
        status = self.request("GET", f"/translations/{id_}")["status"]
        if status in ("failed", "cancelled"):
            raise SystemExit(f"translation {id_} is {status}")
        return bool(status == "done")

    def rate(self, count: int) -> float:
        """Returns how many translations in a second were done, of so many."""
        ids = [self.request("POST", "/translations", TEXT)["id"] for _ in range(count)]
        for id_ in reversed(ids):
            await_(lambda id_=id_: self.is_done(id_), f"{id_} done", seconds=MAX_SECONDS, pause=0.25)  # type: ignore[misc]
        records = [self.request("GET", f"/translations/{id_}") for id_ in ids]
        began = min(datetime.fromisoformat(record["started_at"]) for record in records)
        ended = max(datetime.fromisoformat(record["finished_at"]) for record in records)
        return count / (ended - began).total_seconds()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--model-image", default="tandem-model")
    parser.add_argument("--count", type=int, default=160)
    options = parser.parse_args()
    slots = {"MODEL_TEST_MODELS": 1, "MODEL_DELAY": LATENCY, "OLLAMA_NUM_PARALLEL": 64}
    with running(options.model_image, options=LIKE_COMPOSE, **slots) as model:
        await_healthy(model)
        settings = {
            "OLLAMA_URL": f"http://{address(model)}:11434",
            "OLLAMA_MODEL": "apertium-fixed-latency",
            "OLLAMA_CONCURRENCY": CONCURRENCY,
            "TRANSLATION_CACHE": 0,
            "RATE_LIMIT": 0,
            "LOG_LEVEL": "WARNING",
        }
        with running(options.image, options=LIKE_COMPOSE, **settings) as container:
            await_healthy(container)
            client = Client(address(container))
            client.rate(WARM_UP)
            rate, limit = client.rate(options.count), CONCURRENCY / LATENCY
    outcome = "reached" if rate / limit >= GOAL else "missed"
    share = f"{rate / limit:.1%} of the limit of {limit:.0f}"
    print(f"{rate:.2f} translations/s, {share}: the goal of {GOAL:.0%} is {outcome}")


if __name__ == "__main__":
    main()
