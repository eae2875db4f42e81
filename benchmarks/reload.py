#!/usr/bin/env python3
"""Measures how long after saving a file web and workers run the new code, with RELOAD=1, and whether a message is lost.

Usage: benchmarks/reload.py [--saves 20] [--image tandem-app]
Needs a Docker engine and the image, which bin/up builds. Python 3.11 or newer, no other packages.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from urllib.request import Request, urlopen

from harness import IMAGE, LIKE_COMPOSE, address, await_healthy, redis_cli, running

WORKLOAD = """
import dramatiq
from flask import Blueprint
from tandem import Settings, Workload, connect

VERSION = {version}

@dramatiq.actor
def note():
    connect(Settings.current()).rpush("noted", VERSION)

routes = Blueprint("version", __name__)

@routes.get("/version")
def version():
    return {{"version": VERSION}}

@routes.post("/notes")
def send():
    note.send()
    return {{}}, 202

workload = Workload(name="versions", blueprint=lambda _: routes)
"""
LONGEST = 30.0


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saves", type=int, default=20)
    parser.add_argument("--image", default=IMAGE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "__init__.py").write_text('workloads = ("mine.versions",)\n')
        module = folder / "versions.py"
        module.write_text(WORKLOAD.format(version=0))
        mount = ("--volume", f"{folder}:/srv/tandem/mine:ro")
        with running(options.image, options=(*LIKE_COMPOSE, *mount), RELOAD=1, TANDEM_APP="mine", RATE_LIMIT=0) as app:
            await_healthy(app)
            time.sleep(2)
            _measure(app, module, options.saves)


class Client:
    """Asks the web for its version, and sends messages whose actor notes that of its worker."""

    def __init__(self, app: str) -> None:
        self.sent = 0
        self._app = app
        self._url = f"http://{address(app)}:8000"
        self._seen = 0

    def web_has(self, version: int) -> bool:
        with urlopen(f"{self._url}/version", timeout=5) as answer:  # noqa: S310
            return bool(json.load(answer)["version"] == version)

    def workers_have(self, version: int) -> bool:
        urlopen(Request(f"{self._url}/notes", data=b"", method="POST"), timeout=5).close()  # noqa: S310
        self.sent += 1
        noted = redis_cli(self._app, "LRANGE", "noted", str(self._seen), "-1").split()
        self._seen += len(noted)
        return str(version) in noted


def _measure(app: str, module: Path, saves: int) -> None:
    client = Client(app)
    times: dict[str, list[float]] = {"web": [], "workers": []}
    for version in range(1, saves + 1):
        time.sleep(2)  # one edits, then saves
        module.write_text(WORKLOAD.format(version=version))
        began, left = time.monotonic(), {"web": client.web_has, "workers": client.workers_have}
        while left:
            for what in [what for what, has_it in left.items() if has_it(version)]:
                del left[what]
                times[what].append(time.monotonic() - began)
            if time.monotonic() - began > LONGEST:
                raise SystemExit(f"not within {LONGEST:.0f} s: save {version} in {', '.join(left)}")
    time.sleep(3)
    handled = int(redis_cli(app, "LLEN", "noted"))
    for what, waited in times.items():
        print(f"{what:<8} median {statistics.median(waited):.2f} s, worst {max(waited):.2f} s, {len(waited)} saves")
    print(f"{client.sent} messages sent meanwhile, {client.sent - handled} lost")


if __name__ == "__main__":
    main()
