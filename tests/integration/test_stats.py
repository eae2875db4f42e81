"""`queue stats` counts as the messages themselves do, whichever process and container has handled them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from tests.integration.tandem import Tandem, await_true

Start = Callable[..., Tandem]
BATCHES, COUNTED, FAILING = 4, 500, 25
NAPS, DELAYED, UNSERVED, QUICK = 3, 5, 2, 20
LONG_SECONDS = 600


def test_two_containers_report_the_same_correct_statistics(redis_elsewhere: str, start: Start) -> None:
    settings = {"REDIS_URL": f"redis://{redis_elsewhere}:6379/0", "WORKER_QUEUES": "work"}
    settings |= {"WORKERS": "2", "WORKER_THREADS": "2", "WORKER_MESSAGE_LIMIT": "0"}
    one, other = start(**settings), start(**settings)
    for tandem in (one, other):
        tandem.await_healthy()

    def noted(key: str, count: int) -> list[str]:
        """What actors have noted under a key, waited for until it is so much."""

        def check() -> list[str]:
            values = one.output("redis-cli", "-h", redis_elsewhere, "LRANGE", key, "0", "-1").split()
            return values if len(values) >= count else []

        return await_true(check, seconds=60, what=f"{count} under {key}")

    for batch in range(BATCHES):
        sender = (one, other)[batch % 2]
        sender.send("count", f"counted-{batch}", "n", times=COUNTED)
        sender.send("fail", f"failing-{batch}", "n", times=FAILING)
        if batch == 1:
            # Processes that end take nothing of what they have counted with them.
            other.output("supervisorctl", "restart", "worker:*")
    counted = [(batch, number) for batch in range(BATCHES) for number in noted(f"counted-{batch}", COUNTED)]
    attempts = Counter((batch, number) for batch in range(BATCHES) for number in noted(f"failing-{batch}", 2 * FAILING))
    delayed = ("--times", str(DELAYED), "--delay", str(LONG_SECONDS * 1000))
    one.output("queue", "try", "count", '["not yet", "n"]', *delayed)
    for _ in range(UNSERVED):
        one.hand_in("Good morning.")
    other.send("nap", "nap", LONG_SECONDS, times=NAPS)
    napping = noted("nap:began", NAPS)
    one.send("leak", "quick", 0, times=QUICK)
    quick = noted("quick", QUICK)

    assert len(counted) == len(set(counted)) == BATCHES * COUNTED
    assert len(attempts) == BATCHES * FAILING
    expected = {
        "queues": {
            "work": {"ready": 0, "in_flight": len(napping), "delayed": DELAYED, "failed": len(attempts)},
            "chaos": {"ready": 0, "in_flight": 0, "delayed": 0, "failed": 0},
            "notes": {"ready": UNSERVED, "in_flight": 0, "delayed": 0, "failed": 0},
            "urgent": {"ready": 0, "in_flight": 0, "delayed": 0, "failed": 0},
        },
        "actors": {
            "count": {"completed": len(counted), "retried": 0, "failed": 0},
            "fail": {"completed": 0, "retried": attempts.total() - len(attempts), "failed": len(attempts)},
            "leak": {"completed": len(quick), "retried": 0, "failed": 0},
        },
    }
    for tandem in (one, other):
        await_equal(lambda tandem=tandem: countable(figures(tandem), "hour"), expected)  # type: ignore[misc]
        found = figures(tandem)
        assert countable(found, "day") == expected
        assert countable(found, "minute")["actors"]["leak"] == expected["actors"]["leak"]
        timed = {actor["name"]: (actor["wait"]["count"], actor["run"]["count"]) for actor in found["actors"]}
        assert timed == {name: (sum(counts.values()),) * 2 for name, counts in expected["actors"].items()}


def test_workers_of_all_containers_are_shown_with_their_running_messages(redis_elsewhere: str, start: Start) -> None:
    settings = {"REDIS_URL": f"redis://{redis_elsewhere}:6379/0", "WORKER_THREADS": "2"}
    one = start(**settings, WORKERS="2").await_healthy()
    other = start(**settings, WORKERS="1", WORKER_QUEUES="work").await_healthy()
    one.send("nap", "nap", LONG_SECONDS)

    def running() -> list[str]:
        return [message["actor"] for worker in figures(other)["workers"] for message in worker["running"]]

    await_true(lambda: running() == ["nap"], seconds=20, what="the nap is told")
    workers = figures(other)["workers"]
    first, second = (tandem.docker.attrs["Config"]["Hostname"] for tandem in (one, other))
    assert {worker["name"]: worker["queues"] for worker in workers} == {
        f"{first}:worker_00": ["chaos", "notes", "urgent", "work"],
        f"{first}:worker_01": ["chaos", "notes", "urgent", "work"],
        f"{second}:worker_00": ["work"],
    }
    for worker in workers:
        assert (worker["state"], worker["lost"], worker["threads"]) == ("consuming", False, 2)
        assert 0 <= worker["uptime_seconds"] < 120
        assert 10 * 2**20 < worker["memory_bytes"] < 256 * 2**20
        assert worker["silent_seconds"] < 10


def test_a_killed_worker_takes_nothing_of_what_was_counted_with_it(start: Start) -> None:
    tandem = start(WORKERS="2", WORKER_THREADS="4", WORKER_MESSAGE_LIMIT="0").await_healthy()
    # More than one worker has threads for, so each has some of them.
    tandem.send("nap", "nap", 10, times=6)
    await_true(lambda: len(tandem.noted("nap:began")) == 6, seconds=20, what="all naps have begun")
    tandem.send("count", "counted", "n", times=1000)

    tandem.output("supervisorctl", "signal", "KILL", "worker:worker_00")
    tandem.send("count", "counted-after", "n", times=1000)

    def handled() -> dict[str, int]:
        return {actor["name"]: actor["hour"]["completed"] for actor in figures(tandem)["actors"]}

    # What was with it runs again, so it can be noted twice; it is handled once.
    await_equal(handled, {"count": 2000, "nap": 6})
    assert len(tandem.noted("nap:began")) > 6
    assert len({*tandem.noted("counted")}) == len({*tandem.noted("counted-after")}) == 1000


def test_messages_without_a_consumer_are_named_with_a_hint(start: Start) -> None:
    tandem = start(WORKER_QUEUES="notes").await_healthy()
    await_true(lambda: "consuming" in tandem.output("queue", "stats"), seconds=20, what="a worker is told")
    assert "next: queue send ACTOR" in tandem.output("queue", "stats")

    tandem.send("count", "counted", "n")

    (hints,) = [line for line in tandem.output("queue", "stats").splitlines() if line.startswith("next: ")]
    assert hints.startswith("next: queue consume work, or add it to WORKER_QUEUES")
    assert "1 message of work waits" in hints
    tandem.output("queue", "consume", "work", "--limit", "1")
    assert "next: " not in tandem.output("queue", "stats")


def figures(tandem: Tandem) -> dict[str, Any]:
    """The JSON of `queue stats`."""
    return cast("dict[str, Any]", json.loads(tandem.output("queue", "stats", "--json")))


def countable(figures: dict[str, Any], window: str) -> dict[str, Any]:
    """The figures that can be counted in another way, by the names of queues and actors."""
    kinds = ("ready", "in_flight", "delayed", "failed")
    return {
        "queues": {queue["name"]: {kind: queue[kind] for kind in kinds} for queue in figures["queues"]},
        "actors": {actor["name"]: actor[window] for actor in figures["actors"]},
    }


def await_equal(check: Callable[[], dict[str, Any]], expected: dict[str, Any]) -> None:
    """Waits, because a message notes its end a moment before its worker settles it; shows the difference."""
    seen: dict[str, Any] = {}

    def agrees() -> bool:
        seen.clear()
        seen.update(check())
        return seen == expected

    try:
        await_true(agrees, seconds=60, what="the figures agree")
    except AssertionError:
        assert seen == expected
