"""`queue stats`: readable on a terminal, the same figures in JSON, and what to do next when something is off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import click
import dramatiq
import pytest
import redis
from click.testing import CliRunner
from fakeredis import FakeRedis, FakeServer

from tandem.broker import keys
from tandem.broker.broker import Binding, Broker
from tandem.broker.in_flight import InFlight
from tandem.cli import main
from tandem.cli.stats import stats
from tandem.operate.hints import limited
from tandem.operate.queue_stats import QueueState
from tandem.support.formatting import duration
from tandem.worker.retries import Retries
from tests.unit import written

WORKER = "3f1c9a0b12cd:worker_00"
ID = "9183b3a9-1c1e-4a53-9a5e-3c1b2c4d5e6f"

MIDDLEWARE = [InFlight(time_limit=60), Retries(max_retries=3, delay=1000, multiplier=2)]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    """The Redis of a container whose workload declares the queues mail and summaries."""
    broker = Broker(middleware=MIDDLEWARE)
    broker.bind(Binding(FakeRedis(), worker="host:queue"))
    monkeypatch.setattr(dramatiq.broker, "global_broker", broker)

    @dramatiq.actor(queue_name="summaries")
    def summarize() -> None: ...

    @dramatiq.actor(queue_name="mail")
    def send_mail() -> None: ...

    return broker.client


def shown(*options: str) -> str:
    result = CliRunner().invoke(stats, options)
    assert result.exit_code == 0, result.output
    return result.output


def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shown("--json"))
    return found


def hints() -> list[str]:
    return [line for line in shown().splitlines() if line.startswith("next: ")]


def row(first: str) -> list[str]:
    """The words of the one line that begins so."""
    (line,) = [line for line in shown().splitlines() if line.startswith(first)]
    return line.split()


@pytest.fixture
def busy(client: redis.Redis) -> redis.Redis:
    for number in range(1203):
        written.ready(client, "summaries", str(number), age=7500)
    written.claimed(client, "summaries", WORKER, "a", "b")
    written.delayed(client, "summaries", "c", due_in=60)
    running = {"message_id": ID, "actor": "summarize", "seconds": 700, "stuck": True}
    written.heartbeat(client, WORKER, running=[running])
    now = time.time()
    written.ended(client, "summarize", "completed", now, wait_ms=14, run_ms=3200, times=1_234_567)
    written.ended(client, "summarize", "retried", now - 1800, wait_ms=14, run_ms=3200, times=3)
    written.ended(client, "summarize", "failed", now - 80_000, times=2)
    return client


def test_each_queue_shows_what_waits_and_what_is_with_workers(busy: redis.Redis) -> None:
    written.dead(busy, "mail", "d")

    assert row("summaries") == ["summaries", "1,203", "2", "h", "05", "min", "2", "1", "-", "0"]
    assert row("mail") == ["mail", "0", "-", "0", "0", "-", "1"]


def test_a_declared_queue_is_shown_before_it_is_used(client: redis.Redis) -> None:
    assert [queue["name"] for queue in figures()["queues"]] == ["mail", "summaries"]


def test_a_worker_shows_what_it_runs_and_for_how_long(busy: redis.Redis) -> None:
    lines = shown().splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith(WORKER)]

    assert lines[at].split() == [WORKER, "consuming", "1", "h", "00", "min", "1,234", "48", "MiB", "4"]
    assert lines[at + 1] == f"  summarize {ID} for 11 min 40 s, stuck"
    assert lines[at + 2] == ""


def test_a_lost_worker_is_silent(client: redis.Redis) -> None:
    written.heartbeat(client, WORKER, age=300)

    assert f"{WORKER}  lost for 5 min 0" in shown()


def test_an_actor_shows_minute_hour_and_day(busy: redis.Redis) -> None:
    assert row("summarize ") == ["summarize", "minute", "1,234,567", "0", "0"]
    hour = row("           hour")
    assert hour[:4] == ["hour", "1,234,567", "3", "0"]
    assert hour[4:6] == ["14", "ms"] and hour[8:10] == ["3.2", "s"]
    assert row("           day") == ["day", "1,234,567", "3", "2"]


def test_it_fits_on_100_columns(busy: redis.Redis) -> None:
    assert max(map(len, shown().splitlines())) <= 100


def test_columns_stand_below_their_titles(busy: redis.Redis) -> None:
    lines = shown().splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("QUEUE")]

    for title in ("READY", "IN FLIGHT", "DELAYED", "FAILED"):
        end = lines[at].index(title) + len(title)
        for line in lines[at + 1 : at + 3]:
            assert line[end - 1].isdigit() and line[end : end + 1] in ("", " ")


def test_json_has_the_same_figures_with_their_units_in_the_names(busy: redis.Redis) -> None:
    found = figures()

    assert set(found) == {"time", "queues", "workers", "actors"}
    (summaries,) = [queue for queue in found["queues"] if queue["name"] == "summaries"]
    assert summaries == {
        "name": "summaries",
        "ready": 1203,
        "in_flight": 2,
        "delayed": 1,
        "failed": 0,
        "paused": False,
        "oldest_seconds": pytest.approx(7500, abs=5),
        "overdue_seconds": 0,
        "parked": {},
    }
    assert found["workers"] == [
        {
            "name": WORKER,
            "state": "consuming",
            "lost": False,
            "silent_seconds": pytest.approx(0, abs=5),
            "pid": 25,
            "uptime_seconds": 3600,
            "threads": 4,
            "queues": [],
            "ended": 1234,
            "memory_bytes": 48 * 2**20,
            "running": [{"message_id": ID, "actor": "summarize", "seconds": 700, "stuck": True, "queue_id": ID}],
        }
    ]
    assert found["actors"] == [
        {
            "name": "summarize",
            "minute": {"completed": 1_234_567, "retried": 0, "failed": 0},
            "hour": {"completed": 1_234_567, "retried": 3, "failed": 0},
            "day": {"completed": 1_234_567, "retried": 3, "failed": 2},
            "wait": {"count": 1_234_570, "mean_ms": 14, "p95_ms": pytest.approx(14, rel=0.05)},
            "run": {"count": 1_234_570, "mean_ms": 3200, "p95_ms": pytest.approx(3200, rel=0.05)},
        }
    ]


def test_before_anything_was_sent_it_says_how_to_send(client: redis.Redis) -> None:
    written.heartbeat(client, WORKER)

    assert "no message has ended in the last day" in shown()
    assert hints() == ["next: queue send ACTOR [JSON-ARGS]  (actors: send_mail, summarize)"]


def test_where_all_is_well_nothing_is_advised(busy: redis.Redis) -> None:
    assert hints() == []


def test_when_all_messages_were_handled_nothing_is_advised(client: redis.Redis) -> None:
    written.ended(client, "summarize", "completed", time.time())

    assert hints() == []


def test_failed_messages_are_to_be_looked_at(busy: redis.Redis) -> None:
    written.dead(busy, "mail", "a")
    written.dead(busy, "summaries", "b", "c")

    assert hints() == ["next: queue failed show  (3 messages failed)"]


def test_a_paused_queue_is_to_be_resumed(busy: redis.Redis) -> None:
    written.ready(busy, "mail", "a")
    busy.sadd(keys.PAUSED, "mail")

    assert row("mail")[-1] == "paused"
    assert hints() == ["next: queue resume mail  (mail is paused: 1 message of mail waits)"]


def send(client: redis.Redis) -> None:
    written.ready(client, "mail", "a")


def be_due(client: redis.Redis) -> None:
    written.delayed(client, "mail", "a", due_in=-7200)


@pytest.mark.parametrize(
    ("wait", "why"),
    [(send, "1 message of mail waits"), (be_due, "a message of mail has been due for 2 h 00 min")],
    ids=["ready", "overdue"],
)
def test_messages_that_no_worker_would_ever_take_are_named(
    client: redis.Redis, wait: Callable[[redis.Redis], None], why: str
) -> None:
    wait(client)
    assert hints() == [f"next: supervisorctl start 'worker:*'  (no worker is running: {why})"]

    written.heartbeat(client, WORKER, age=300)
    assert hints() == [f"next: supervisorctl start 'worker:*'  (no worker is running: {why})"]

    written.heartbeat(client, WORKER, queues=["summaries"])
    assert hints() == [f"next: queue consume mail, or add it to WORKER_QUEUES  (no worker consumes it: {why})"]

    written.heartbeat(client, "other:worker_00", queues=["mail"])
    assert hints() == []


def test_a_worker_of_all_queues_serves_only_those_that_an_actor_uses(client: redis.Redis) -> None:
    written.heartbeat(client, WORKER, queues=[])
    written.ready(client, "mail", "a")
    written.ready(client, "left_over", "a")

    reason = "no actor here uses it: 1 message of left_over waits"
    assert hints() == [f"next: start a worker with an actor of left_over  ({reason})"]


def test_messages_that_are_not_due_yet_need_no_worker(client: redis.Redis) -> None:
    written.delayed(client, "mail", "a", due_in=60)

    assert hints() == []


def test_names_cannot_write_to_the_terminal(client: redis.Redis) -> None:
    nasty = "\x1b[2Jmail\r\n\u202e"
    running = {"message_id": nasty, "actor": nasty, "seconds": 1, "stuck": False}
    written.heartbeat(client, nasty, running=[running], queues=[nasty])
    client.sadd(keys.PAUSED, nasty)
    for queue in (nasty, f"unserved {nasty}"):
        written.ready(client, queue, "a")
    written.ended(client, nasty, "completed", time.time())

    output = shown()

    assert output.count(r"\x1b[2Jmail\r\n\u202e") == 12
    assert all(character.isprintable() or character == "\n" for character in output)


def test_watching_shows_it_again_until_it_is_interrupted(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        written.ready(client, "mail", str(len(slept)))
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    cleared: list[int] = []
    monkeypatch.setattr(click, "clear", lambda: cleared.append(len(slept)))
    output = shown("--watch", "5")

    assert slept == [5, 5, 5]
    assert [line.split()[1] for line in output.splitlines() if line.startswith("mail")] == ["0", "1", "2"]
    assert cleared == [0, 1, 2]


def test_json_is_printed_once(client: redis.Redis) -> None:
    assert CliRunner().invoke(stats, ["--json", "--watch"]).exit_code == 2


def test_it_is_a_command_of_queue(redis_client: redis.Redis) -> None:
    assert main.queue.get_command(click.Context(main.queue), "stats") is stats


def test_without_redis_it_says_so_in_one_line(
    redis_client: redis.Redis,
    redis_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broker = Broker(middleware=MIDDLEWARE)
    broker.bind(Binding(FakeRedis(server=redis_server), worker="host:queue"))
    monkeypatch.setattr(dramatiq.broker, "global_broker", broker)
    monkeypatch.setattr("sys.argv", ["queue", "stats"])
    redis_server.connected = False

    with pytest.raises(SystemExit) as left:
        main.main()

    assert left.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: Redis does not answer: ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.00002, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.00996, "10 ms"),
        (0.014, "14 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (3.21, "3.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (302, "5 min 02 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86_399, "1 d 00 h"),
        (273_600, "3 d 04 h"),
    ],
)
def test_durations_are_formatted_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_messages_that_wait_for_a_limit_are_explained() -> None:
    def queue(name: str, ready: int, *, paused: bool = False) -> QueueState:
        return QueueState(name, ready, 0, 0, 0, paused, 0, 0)

    queues = [queue("mail", 17), queue("bulk", 1, paused=True), queue("idle", 0)]
    queues[0].parked.update(deliver=16, old=1)
    limits = {"mail": ["its rate 10/s", "one of its 2 places"], "bulk": ["its rate 1/s"], "idle": ["its rate 1/s"]}
    assert limited(queues, limits, {"deliver": "the rate 10/s"}) == [
        "16 messages of deliver wait for the rate 10/s",
        "1 message of old waits for a limit that the actor no longer has",
        "17 messages of mail may wait for its rate 10/s and one of its 2 places",
    ]
