"""Schedules: each tick is sent once, whichever monitors live, and operators see how it went."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable

from tests.integration.tandem import Tandem, await_true

Start = Callable[..., Tandem]
SECONDS = 15

ADD = """
import json
import sys
from datetime import timedelta
from tandem import Schedule, registry, schedules
from tandem.config import settings
registry.load(settings.current())
from testapp import actors
actor = getattr(actors, sys.argv[2])
every, window = (timedelta(seconds=float(text)) for text in sys.argv[3:5])
schedules.add(Schedule(actor=actor, every=every, window=window, name=sys.argv[1], args=json.loads(sys.argv[5])))
"""


def add(tandem: Tandem, name: str, actor: str, *arguments: object, every: float, window: float = 3600) -> None:
    """Adds a schedule as an application does for its users."""
    tandem.output("python", "-c", ADD, name, actor, str(every), str(window), json.dumps(arguments))


def ticks(tandem: Tandem) -> list[int]:
    listed = tandem.output("redis-cli", "-h", "redis-elsewhere", "LRANGE", "ticks", "0", "-1")
    return [int(line) for line in listed.split()]


def test_three_containers_send_each_tick_once_while_their_monitors_are_killed(
    start: Start, redis_elsewhere: str
) -> None:
    settings = {"REDIS_URL": f"redis://{redis_elsewhere}:6379", "WORKERS": "1"}
    tandems = [start(**settings) for _ in range(3)]
    for tandem in tandems:
        tandem.await_healthy()
    dice = random.Random(1)  # noqa: S311
    add(tandems[0], "every-second", "tick", "ticks", every=1)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        tandem = dice.choice(tandems)
        tandem.output("supervisorctl", "signal", "KILL", "monitor")
        await_true(lambda it=tandem: it.states()["monitor"] == "RUNNING", seconds=20, what="the next monitor")  # type: ignore[misc]
    seen = ticks(tandems[0])
    assert max(seen) - min(seen) >= SECONDS - 2
    # The other monitors send while one is away: no tick is missing, though a message may still run.
    expected = set(range(min(seen), max(seen) + 1))
    await_true(lambda: expected <= set(ticks(tandems[0])), seconds=20, what="every tick")
    assert set(Counter(ticks(tandems[0])).values()) == {1}


def test_a_schedule_is_shown_run_paused_and_resumed(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()
    assert "there are no schedules" in tandem.output("queue", "schedules")
    add(tandem, "every-second", "tick", "ticks", every=1)
    await_true(lambda: tandem.noted("ticks"), seconds=20, what="a tick")

    row = r"every-second +every second +in .* ago +.* ok"
    await_true(lambda: re.search(row, tandem.output("queue", "schedules")), seconds=10, what="its success")
    assert "every-second is paused" in tandem.output("queue", "schedules", "pause", "every-second")
    await_true(lambda: "paused" in tandem.output("queue", "schedules"), seconds=5, what="it is paused")
    assert "every-second is resumed" in tandem.output("queue", "schedules", "resume", "every-second")
    code, output = tandem.run("queue", "schedules", "run", "nobody")
    assert (code, output) == (1, "Error: unknown schedule nobody: expected one of every-second\n")


def test_a_schedule_that_fails_raises_an_alert(start: Start) -> None:
    tandem = start(WORKERS="1", MAX_RETRIES="0", ALERT_INTERVAL="5").await_healthy()
    add(tandem, "failing", "fail", "failing", 5, every=2, window=1)
    await_true(lambda: "alert schedules" in tandem.health(), seconds=40, what="the alert")
    assert "failing has not succeeded so far" in tandem.health()
