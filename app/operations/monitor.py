"""The program `monitor`: looks after the workers from outside, and raises alerts (see lookout.py).

A worker whose interpreter is held (a C extension that never lets go of it) can neither interrupt nor leave by itself.
It gives no sign of life any more, so it is killed; supervisor starts its successor, which brings its messages back.
"""

from __future__ import annotations

import logging
import signal
import threading

from app import environment, logs
from app.operations import supervisor
from app.operations.lookout import Lookout
from app.operations.syncing import Syncing
from app.operations.vouching import Vouching
from app.queueing import signs
from app.queueing.connection import connect_to
from app.queueing.signs import BEAT_SECONDS

logger = logging.getLogger("app.operations.monitor")

#: Looks without a new beat before a worker is killed. Counted in looks and not by the clock: after the whole container
#: was paused, the beats are old, but the workers are well.
LOOKS = 15


class Watch:
    """Counts for each worker how often its beat was the same as before."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int]] = {}

    def hung(self, now: dict[str, dict[str, int]]) -> list[tuple[str, int]]:
        """Name and process id of each worker that gave no new sign for LOOKS looks in a row."""
        seen = {}
        for name, sign in now.items():
            pid, beat, looks = self._seen.get(name, (0, 0, 0))
            same = (pid, beat) == (sign["pid"], sign["beat"])
            seen[name] = (sign["pid"], sign["beat"], looks + 1 if same else 0)
        self._seen = seen
        return [(name, pid) for name, (pid, _, looks) in seen.items() if looks >= LOOKS]


def main() -> None:
    """Looks every BEAT_SECONDS until SIGTERM."""
    logs.configure_as_started()
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    # In a thread of its own: a Redis or a receiver that is slow must not keep hung workers alive.
    Lookout.from_environment().start()
    Vouching(connect_to(environment.redis_url())).start()
    if environment.redis_url() == environment.EMBEDDED_REDIS_URL:
        Syncing().start()
    watch = Watch()
    logger.info("watching the workers")
    while not over.wait(BEAT_SECONDS):
        for name, pid in watch.hung(signs.read()):
            _kill(name, pid)


def _kill(name: str, pid: int) -> None:
    try:
        if not supervisor.kill(f"worker:{name}", pid):
            signs.remove(name)
            return
    except supervisor.SupervisorAway as error:
        logger.warning("%s hangs, but cannot be killed: %s", name, error)
        return
    logger.error(
        "%s gave no sign of life for %.0f s and was killed: its messages come back", name, LOOKS * BEAT_SECONDS
    )


if __name__ == "__main__":
    main()
