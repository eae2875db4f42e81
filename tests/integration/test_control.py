"""The queue operated while it runs: paused, purged, sent to by hand, its workers asked to leave and dedicated."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.integration.tandem import Tandem, await_true

Start = Callable[..., Tandem]
# A worker checks every two seconds whether it was asked to stop.
NOTICED_SECONDS = 10


@pytest.fixture
def two(redis_elsewhere: str, start: Start) -> tuple[Tandem, Tandem]:
    """Two containers on one Redis, with a worker of one thread each."""
    settings = {"REDIS_URL": f"redis://{redis_elsewhere}:6379/0", "WORKERS": "1", "WORKER_THREADS": "1"}
    one, other = start(**settings), start(**settings)
    return one.await_healthy(), other.await_healthy()


def noted(tandem: Tandem, key: str) -> list[str]:
    """What actors have noted in the Redis that both share."""
    return tandem.output("redis-cli", "-h", "redis-elsewhere", "LRANGE", key, "0", "-1").split()


def pid(tandem: Tandem) -> str:
    return tandem.output("supervisorctl", "pid", "worker:worker_00").strip()


def started(tandem: Tandem) -> int:
    """How many workers have begun to consume in this container so far."""
    return tandem.worker_log().count("worker.main: consuming")


def test_a_paused_queue_waits_in_every_container_and_goes_on_at_once(two: tuple[Tandem, Tandem]) -> None:
    one, other = two
    one.send("nap", "nap", 2)
    await_true(lambda: noted(one, "nap:began"), seconds=20, what="it has begun")

    one.output("queue", "pause", "work")
    other.send("count", "paused", "n", times=20)
    await_true(lambda: noted(one, "nap"), seconds=20, what="the running one finishes")
    # Longer than the interval at which workers check the queue: no worker may claim a message meanwhile.
    time.sleep(3)
    assert noted(one, "paused") == []
    other.output("queue", "resume", "work")

    await_true(lambda: len(noted(one, "paused")) == 20, seconds=3, what="the others")


def test_a_queue_stays_paused_across_a_restart(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()
    tandem.output("queue", "pause", "work")
    tandem.output("supervisorctl", "restart", "redis", "worker:*")
    await_true(lambda: started(tandem) == 2, seconds=20, what="the worker is back")

    tandem.send("count", "paused", "n")
    time.sleep(3)
    assert tandem.noted("paused") == []
    tandem.output("queue", "resume", "work")

    await_true(lambda: tandem.noted("paused") == ["0"], seconds=3, what="it goes on")


def test_stop_workers_replaces_every_worker_of_every_container_after_its_message(two: tuple[Tandem, Tandem]) -> None:
    one, other = two
    one.send("nap", "nap", 5, times=2)
    await_true(lambda: len(noted(one, "nap:began")) == 2, seconds=20, what="both have begun")
    before = pid(one), pid(other)

    output = one.output("queue", "stop-workers", "--wait")

    assert "asked 2 workers on 2 hosts to stop" in output
    assert "2 of 2 have stopped" in output
    assert len(noted(one, "nap")) == len(noted(one, "nap:began")) == 2
    await_true(lambda: started(one) == started(other) == 2, seconds=20, what="fresh ones")
    after = pid(one), pid(other)
    assert before[0] != after[0] and before[1] != after[1]
    # Those that started later stay.
    time.sleep(NOTICED_SECONDS)
    assert (pid(one), pid(other)) == after


def test_stop_workers_without_waiting_returns_at_once(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()
    tandem.send("wait_for_go", "a")
    await_true(lambda: tandem.noted("a:began"), seconds=20, what="it has begun")

    assert "asked 1 worker on 1 host to stop" in tandem.output("queue", "stop-workers")

    assert tandem.noted("a") == []
    tandem.redis("RPUSH", "a:go", "1")
    await_true(lambda: started(tandem) == 2, seconds=20, what="a fresh one")
    assert len(tandem.noted("a")) == len(tandem.noted("a:began")) == 1


def test_purge_calls_on_failed_and_keeps_the_dead_letters(start: Start) -> None:
    tandem = start(PROGRAMS="redis,web").await_healthy()
    ids = [tandem.hand_in(text) for text in ("Good morning.", "Good evening.")]
    tandem.redis("ZADD", "dramatiq:notes.XQ", "1", "dead")

    code, output = tandem.run("queue", "purge", "notes")
    assert code == 1 and "2 messages of notes" in output and "--force" in output
    assert [tandem.note(id_)["status"] for id_ in ids] == ["queued", "queued"]
    assert "removed 2 messages of notes" in tandem.output("queue", "purge", "notes", "--force")

    for id_ in ids:
        assert tandem.note(id_)["status"] == "failed"
        assert "removed from the queue notes by an operator" in tandem.note(id_)["error"]
    assert tandem.redis("HLEN", "dramatiq:notes.msgs").strip() == "0"
    assert tandem.redis("ZCARD", "dramatiq:notes.XQ").strip() == "1"


def test_purge_leaves_the_running_message(start: Start) -> None:
    tandem = start(WORKERS="1", WORKER_THREADS="1").await_healthy()
    tandem.send("wait_for_go", "a")
    await_true(lambda: tandem.noted("a:began"), seconds=20, what="it has begun")
    tandem.send("count", "waiting", "n", times=30)
    tandem.output("queue", "send", "count", '["delayed", 1]', "--delay", "1h")

    tandem.output("queue", "purge", "work", "--force")

    assert tandem.noted("a") == []
    tandem.redis("RPUSH", "a:go", "1")
    await_true(lambda: tandem.noted("a"), seconds=20, what="the running one finishes")
    await_true(lambda: tandem.redis("HLEN", "dramatiq:work.msgs").strip() == "0", seconds=5, what="nothing is left")


def test_a_killed_purge_loses_no_message_whose_on_failed_was_not_called(start: Start) -> None:
    tandem = start(PROGRAMS="redis").await_healthy()
    tandem.send("die", "purged", times=3000)
    purge = "queue purge work --force & echo $! >/tmp/purge; wait"
    tandem.docker.exec_run(["sh", "-c", purge], detach=True)
    await_true(lambda: int(tandem.redis("LLEN", "purged:failed")) > 0, seconds=20, what="it has begun")

    tandem.output("sh", "-c", "kill -9 $(cat /tmp/purge)")

    told = int(tandem.redis("LLEN", "purged:failed"))
    left = int(tandem.redis("LLEN", "dramatiq:work")) + int(tandem.redis("ZCARD", "dramatiq:work.delayed"))
    assert 0 < left == int(tandem.redis("HLEN", "dramatiq:work.msgs"))
    assert 3000 - told <= left
    assert f"removed {left:,} messages" in tandem.output("queue", "purge", "work", "--force")


def test_a_message_of_queue_send_is_handled_when_it_is_due(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()

    sent = time.monotonic()
    tandem.output("queue", "send", "count", '{"key": "later", "number": 2}', "--delay", "4s")
    tandem.output("queue", "send", "count", '["now", 1]')

    await_true(lambda: tandem.noted("now") == ["1"], seconds=3, what="the one without a delay")
    await_true(lambda: tandem.noted("later") == ["2"], seconds=10, what="the one with a delay")
    assert time.monotonic() - sent > 3.5


BAD_INPUT = [
    (["send", "nope"], "Error: unknown actor nope: expected one of always_fails, block, bounded, "),
    (["send", "count", "[5, 1]"], "Error: count: key: 5 is invalid: expected a string\n"),
    (["send", "count", '["a"'], "Error: count: "),
    (["send", "count", '["a", 1]', "--delay", "8d"], "Error: --delay 8d is invalid: "),
    (
        ["pause", "work", "nope"],
        "Error: unknown queue nope: expected one of chaos, notes, urgent, work\n",
    ),
    (["resume", "nope"], "Error: unknown queue nope: "),
    (["purge", "nope", "--force"], "Error: unknown queue nope: "),
]


def test_bad_input_is_refused_in_one_line_and_changes_nothing(start: Start) -> None:
    tandem = start(PROGRAMS="redis").await_healthy()

    for command, line in BAD_INPUT:
        code, output = tandem.run("queue", *command)
        assert code == 1, command
        assert output.startswith(line) and output.count("\n") == 1, output
    # A process that has only sent, or tried to, may have stored a heartbeat.
    assert set(tandem.redis("KEYS", "*").split()) <= {"tandem:heartbeats"}


def test_without_redis_each_command_says_so_in_one_line(start: Start) -> None:
    tandem = start(PROGRAMS="web,eventlistener", REDIS_URL="redis://nowhere:6379/0")

    for command in (
        ["pause", "work"],
        ["resume", "work"],
        ["purge", "work", "--force"],
        ["stop-workers"],
        ["send", "count", '["a", 1]'],
    ):
        code, output = tandem.run("queue", *command)
        assert code == 1, command
        assert output.startswith("Error: Redis does not answer: ") and output.count("\n") == 1


def test_dedicated_workers_serve_their_queue_only(start: Start) -> None:
    tandem = start(WORKERS="1", WORKER_QUEUES="notes", WORKER_DEDICATED="work=2").await_healthy()

    assert [name for name in tandem.states() if name.startswith("worker:")] == [
        "worker:worker_00",
        "worker:worker_01",
        "worker:worker_02",
    ]
    assert "consuming notes with" in tandem.worker_log(0)
    for number in (1, 2):
        assert "consuming work with" in tandem.worker_log(number)
    tandem.send("count", "counted", "n", times=10)
    await_true(lambda: len(tandem.noted("counted")) == 10, seconds=20, what="they handle it")
    assert "actor=count" not in tandem.worker_log(0)


def test_a_dedicated_queue_that_no_actor_uses_stops_the_start(start: Start) -> None:
    tandem = start(WORKER_DEDICATED="nope=1")

    assert tandem.docker.wait(timeout=20)["StatusCode"] == 78
    assert tandem.docker.logs().decode() == (
        "WORKER_DEDICATED=nope=1 is invalid: expected names from chaos, notes, urgent, work\n"
    )
