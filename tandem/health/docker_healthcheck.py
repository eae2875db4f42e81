"""What Docker runs every few seconds (HEALTHCHECK): the same checks as `queue health`, at a tenth of its cost.

The checks of the workloads and of the queue are those of /readyz, which the web of this container has loaded already. A
container without a web runs `queue health` itself.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tandem.health.checks import Result

#: Where the entrypoint has laid out the programs that run here.
PROGRAMS = Path("/run/tandem/programs")
#: On which gunicorn listens as soon as it has loaded the application (tandem/web/gunicorn_config.py).
WEB_SOCKET = Path("/run/tandem/web.sock")
# How long a container may be starting, as in the Dockerfile (seconds).
START_SECONDS = 60
# /readyz answers within the time that a check may take; Docker waits for ten seconds.
TIMEOUT = 5.0


def main() -> None:
    """Prints one line for each check; exits with 1 when one has failed."""
    programs = {path.stem for path in PROGRAMS.glob("*.conf")}
    if programs and "web" not in programs:
        os.execvp("queue", ["queue", "health"])  # noqa: S606, S607
    if _is_starting():
        # Docker asks four times a second then, and all that is imported below would slow down what it waits for.
        print("fail  web  is starting")
        sys.exit(1)
    from tandem.health.checks import Status, run, worst
    from tandem.health.container import container_checks

    results = run(container_checks(programs), timeout=TIMEOUT) + _readiness()
    print("\n".join(f"{result.status:<4}  {result.name}  {result.detail}" for result in results))
    sys.exit(worst(results) == Status.FAIL)


def _is_starting() -> bool:
    """Return whether this is a new container whose web does not listen yet."""
    try:
        return not WEB_SOCKET.exists() and time.time() - PROGRAMS.stat().st_mtime < START_SECONDS
    except FileNotFoundError:
        return True


def _readiness() -> list[Result]:
    """What /readyz says of the queue and of what the work depends on."""
    import json

    from tandem.config import environment
    from tandem.health.checks import Fail, Result, Status
    from tandem.health.container import ask_web

    try:
        status, body = ask_web("/readyz", TIMEOUT, token=environment.api_token())
        checks = json.loads(body)["checks"]
    except Fail as error:
        return [Result("readyz", Status.FAIL, str(error))]
    except (OSError, ValueError, KeyError, TypeError):
        return [Result("readyz", Status.FAIL, f"{status} without the checks")]
    return [Result(name, Status(check["status"]), str(check.get("detail", ""))) for name, check in checks.items()]


if __name__ == "__main__":
    main()
