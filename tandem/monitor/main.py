"""The program `monitor`: supervises the workers from outside, and raises alerts (see alert_loop.py).

A worker whose interpreter is blocked (by a C extension that never releases it) can neither interrupt its message nor
stop by itself. It sends no more heartbeats, so it is killed; supervisor starts its successor, which requeues its
messages.
"""

from __future__ import annotations

import logging
import signal
import threading

from tandem import logs
from tandem.broker.connection import connect_to
from tandem.config import environment
from tandem.monitor.alert_loop import AlertLoop
from tandem.monitor.aof_sync import AofSync
from tandem.monitor.heartbeat_relay import HeartbeatRelay
from tandem.monitor.scheduler import Scheduler
from tandem.operate.ticker import Ticker
from tandem.process import supervisor
from tandem.worker import heartbeat_file
from tandem.worker.heartbeat_file import BEAT_SECONDS

logger = logging.getLogger("tandem.monitor.main")

#: Checks without a new heartbeat before a worker is killed. Counted in checks and not by the clock: after the whole
#: container was paused, the heartbeats are old, but the workers are well.
CHECKS = 15


NO_GRACE_PERIOD = (
    "nobody has said how long a stop waits: Docker kills messages that still run after 10 s, unless it is told "
    "otherwise (they run again); set STOP_GRACE_PERIOD=720s, and stop_grace_period in compose or docker run "
    "--stop-timeout to the same"
)


class HangDetector:
    """Counts for each worker how often its heartbeat was the same as before."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int]] = {}

    def hung(self, now: dict[str, dict[str, int]]) -> list[tuple[str, int]]:
        """Return name and process id of each worker without a new heartbeat in CHECKS consecutive checks."""
        seen = {}
        for name, heartbeat in now.items():
            pid, beat, checks = self._seen.get(name, (0, 0, 0))
            same = (pid, beat) == (heartbeat["pid"], heartbeat["beat"])
            seen[name] = (heartbeat["pid"], heartbeat["beat"], checks + 1 if same else 0)
        self._seen = seen
        return [(name, pid) for name, (pid, _, checks) in seen.items() if checks >= CHECKS]


def main() -> None:
    """Check the workers every BEAT_SECONDS until SIGTERM."""
    logs.configure_from_environment()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    # In its own thread: a slow Redis or alert receiver must not delay the killing of hung workers.
    AlertLoop.from_environment().start()
    HeartbeatRelay(connect_to(environment.redis_url())).start()
    Scheduler(connect_to(environment.redis_url())).start()
    if environment.is_set("OPS_TOKEN"):
        Ticker(connect_to(environment.redis_url())).start()
    if environment.redis_url() == environment.EMBEDDED_REDIS_URL:
        AofSync().start()
    if not environment.is_set("STOP_GRACE_PERIOD"):
        logger.warning(NO_GRACE_PERIOD)
    detector = HangDetector()
    if environment.is_debugged():
        logger.warning("hung workers are not killed: DEBUG_PORT is set, and a breakpoint stops all threads of a worker")
        stopped.wait()
    logger.info("watching the workers")
    while not stopped.wait(BEAT_SECONDS):
        for name, pid in detector.hung(heartbeat_file.read()):
            _kill(name, pid)


def _kill(name: str, pid: int) -> None:
    try:
        if not supervisor.kill(f"worker:{name}", pid):
            heartbeat_file.remove(name)
            return
    except supervisor.SupervisorUnavailable as error:
        logger.warning("%s hangs, but killing it failed: %s", name, error)
        return
    logger.error(
        "%s sent no heartbeat for %.0f s and was killed: its messages are requeued", name, CHECKS * BEAT_SECONDS
    )


if __name__ == "__main__":
    main()
