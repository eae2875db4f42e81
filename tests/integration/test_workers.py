"""Workers that recycle, stop, die and hang: every message is handled, and by whom it should."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime

import pytest
from testcontainers.core.network import Network

from tests.integration.tandem import Tandem, await_true

Start = Callable[..., Tandem]
LONG = 10


def test_a_worker_says_at_its_start_after_what_it_will_leave(start: Start) -> None:
    tandem = start(WORKER_TIME_LIMIT="60", WORKER_MEMORY_LIMIT="1G", WORKER_FAILURE_LIMIT="7").await_healthy()

    assert (
        "consuming chaos, notes, urgent, work with 4 threads; stops after 60 s, at 1024 MiB, "
        "after 1000 messages, after 7 failures in a row" in tandem.worker_log()
    )


def test_under_load_workers_recycle_one_at_a_time_and_every_message_is_handled_once(start: Start) -> None:
    tandem = start(WORKER_TIME_LIMIT="3", WORKER_MESSAGE_LIMIT="0").await_healthy()
    sent = 0
    until = time.monotonic() + 35
    while time.monotonic() < until:
        tandem.output("queue", "try", "count", f'["handled-{sent}", "n"]', "--times", "500")
        sent += 1

    for batch in range(sent):
        key = f"handled-{batch}"
        await_true(lambda key=key: len(tandem.noted(key)) >= 500, seconds=30, what=f"all of {key}")  # type: ignore[misc]
        assert sorted(map(int, tandem.noted(key))) == list(range(500))
    away = [periods_away(tandem.worker_log(number)) for number in range(2)]
    assert all(len(periods) >= 5 for periods in away)
    for left, back in away[0]:
        assert not any(left < other_back and other_left < back for other_left, other_back in away[1])


def periods_away(log: str) -> list[tuple[datetime, datetime]]:
    """From when a worker took no more messages until its successor took some, for each time it left on its own."""
    stamps = {
        what: [datetime.fromisoformat(line.split()[0]) for line in log.splitlines() if what in line]
        for what in ("stopping on time limit", "worker.main: consuming")
    }
    return list(zip(stamps["stopping on time limit"], stamps["worker.main: consuming"][1:], strict=False))


def recycled_by_time(tandem: Tandem) -> None:
    await_true(lambda: "stopping on time limit" in tandem.worker_log(), seconds=20, what="the time limit is reached")


def recycled_by_memory(tandem: Tandem) -> None:
    tandem.send("leak", "leaked", 60)
    await_true(lambda: "stopping on memory limit" in tandem.worker_log(), seconds=20, what="the memory limit")


def recycled_by_messages(tandem: Tandem) -> None:
    tandem.send("count", "counted", "n", times=5)
    await_true(lambda: len(tandem.noted("counted")) == 5, seconds=20, what="five messages")


def restarted(tandem: Tandem) -> None:
    tandem.output("supervisorctl", "restart", "worker:*")


def stopped_and_started(tandem: Tandem) -> None:
    container = tandem.docker
    container.stop(timeout=60)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0
    container.start()
    tandem.await_healthy()


@pytest.mark.parametrize(
    ("settings", "interrupt"),
    [
        ({"WORKER_TIME_LIMIT": "4"}, recycled_by_time),
        ({"WORKER_MEMORY_LIMIT": "96M"}, recycled_by_memory),
        ({"WORKER_MESSAGE_LIMIT": "6"}, recycled_by_messages),
        ({}, restarted),
        ({}, stopped_and_started),
    ],
    ids=["time limit", "memory limit", "message limit", "supervisorctl restart", "docker stop and start"],
)
def test_a_long_message_finishes_once(
    start: Start, settings: dict[str, str], interrupt: Callable[[Tandem], None]
) -> None:
    tandem = start(WORKERS="1", **settings).await_healthy()
    tandem.send("nap", "nap", LONG)
    await_true(lambda: tandem.noted("nap:began"), seconds=20, what="it has begun")

    interrupt(tandem)

    await_true(lambda: tandem.noted("nap"), seconds=LONG + 10, what="it has finished")
    await_true(lambda: tandem.worker_log().count("worker.main: consuming") == 2, seconds=20, what="a successor")
    assert len(tandem.noted("nap:began")) == len(tandem.noted("nap")) == 1


def test_prefetched_messages_are_requeued_in_order_while_a_long_one_finishes(start: Start) -> None:
    tandem = start(WORKERS="1", WORKER_THREADS="1").await_healthy()
    tandem.send("nap", "nap", 3)
    await_true(lambda: tandem.noted("nap:began"), seconds=20, what="it has begun")
    tandem.send("count", "order", "n", times=50)

    tandem.output("supervisorctl", "restart", "worker:*")

    await_true(lambda: len(tandem.noted("order")) == 50, seconds=20, what="the others")
    assert tandem.noted("order") == [str(number) for number in range(50)]
    assert len(tandem.noted("nap")) == 1


def test_interactive_consume_stops_after_exactly_its_limit(start: Start) -> None:
    tandem = start(PROGRAMS="redis").await_healthy()
    tandem.send("count", "counted", "n", times=25)

    output = tandem.output("queue", "consume", "--limit", "10", "--threads", "1", "-v")

    assert "stopping on message limit: 10 of 10 messages" in output
    assert tandem.noted("counted") == [str(number) for number in range(10)]
    assert int(tandem.redis("LLEN", "dramatiq:work")) == 15


def test_failures_in_a_row_end_a_worker(start: Start) -> None:
    tandem = start(PROGRAMS="redis,web").await_healthy()
    tandem.send("fail", "failing", "n", times=3)

    output = tandem.output("queue", "consume", "work", "--failure-limit", "3", "--threads", "1")

    assert "stopping on failure limit: 3 of 3 failures in a row" in output


def test_a_leaking_actor_is_recycled_and_the_containers_memory_stays_bounded(start: Start) -> None:
    tandem = start(WORKERS="1", WORKER_MEMORY_LIMIT="512M").await_healthy()
    tandem.send("leak", "leaked", 10, times=1000)
    largest = 0

    def all_handled() -> bool:
        nonlocal largest
        largest = max(largest, tandem.docker.stats(stream=False, one_shot=True)["memory_stats"]["usage"])
        return len(tandem.noted("leaked")) == 1000

    # 1,000 messages leak 10 GB.
    await_true(all_handled, seconds=200, what="1,000 messages")
    assert largest < 1200 * 2**20
    assert tandem.worker_log().count("stopping on memory limit") >= 10


def test_a_killed_worker_is_restarted_at_once_and_its_message_requeued(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()
    tandem.send("nap", "nap", 2)
    await_true(lambda: tandem.noted("nap:began"), seconds=20, what="it has begun")

    tandem.output("supervisorctl", "signal", "KILL", "worker:worker_00")

    await_true(lambda: len(tandem.noted("nap:began")) == 2, seconds=3, what="the message runs again")
    await_true(lambda: tandem.noted("nap"), seconds=10, what="it has finished")
    assert "requeued 1 messages of work" in tandem.worker_log()


@pytest.mark.parametrize("program", ["worker:worker_00", "proxy", "web", "redis", "eventlistener", "monitor"])
def test_a_killed_program_is_restarted_and_the_container_is_healthy(start: Start, program: str) -> None:
    tandem = start().await_healthy()
    before = tandem.output("supervisorctl", "pid", program)

    tandem.output("supervisorctl", "signal", "KILL", program)

    def back() -> bool:
        return (
            tandem.output("supervisorctl", "pid", program) not in (before, "0\n")
            and tandem.run("queue", "health")[0] == 0
        )

    await_true(back, seconds=20, what=f"{program} is back")
    assert tandem.docker.attrs["State"]["Health"]["Status"] == "healthy"


def test_a_message_that_kills_its_worker_becomes_a_dead_letter_at_the_third_death(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()

    tandem.send("die", "poison")

    await_true(lambda: tandem.redis("ZCARD", "dramatiq:work.XQ").strip() == "1", seconds=20, what="a dead letter")
    assert len(tandem.noted("poison:began")) == 3
    assert "3 workers died while they handled this message" in tandem.redis("LRANGE", "poison:failed", "0", "-1")
    tandem.send("count", "after", "n")
    await_true(lambda: tandem.noted("after") == ["0"], seconds=20, what="the worker goes on")


def test_a_thread_that_cannot_be_interrupted_is_replaced_with_its_worker(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()
    tandem.send("block", "blocked", 600)
    await_true(lambda: tandem.noted("blocked:began"), seconds=20, what="it has begun")
    tandem.send("count", "others", "n", times=20)

    await_true(lambda: len(tandem.noted("others")) == 20, seconds=20, what="the other threads go on")
    await_true(lambda: tandem.noted("blocked"), seconds=40, what="another worker has finished it")
    assert "exiting without waiting for stuck threads: block" in tandem.worker_log()


def test_a_worker_whose_interpreter_is_blocked_is_killed_and_replaced(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()
    tandem.send("hold", "held", 600)
    await_true(lambda: tandem.noted("held:began"), seconds=20, what="it has begun")

    await_true(lambda: "no heartbeat" in tandem.run("queue", "health")[1], seconds=30, what="health names it")
    await_true(lambda: tandem.noted("held"), seconds=60, what="another worker has finished it")
    assert re.search("worker_00 sent no heartbeat .* killed", tandem.output("cat", "/var/log/supervisor/monitor.log"))


def test_a_runaway_message_is_not_waited_for(start: Start) -> None:
    tandem = start(WORKERS="1", WORKER_MEMORY_LIMIT="96M").await_healthy()
    tandem.send("nap", "nap", 20)
    await_true(lambda: tandem.noted("nap:began"), seconds=20, what="it has begun")

    tandem.send("leak", "leaked", 200)

    await_true(lambda: "exiting at once, memory" in tandem.worker_log(), seconds=10, what="the hard limit acts")
    await_true(lambda: len(tandem.noted("nap:began")) == 2, seconds=10, what="the long message runs again")


def test_a_worker_that_cannot_start_makes_it_unhealthy_and_the_web_goes_on(start: Start) -> None:
    tandem = start().await_healthy()
    tandem.output("sed", "-i", "s/^command=.*/command=false/", "/run/tandem/programs/worker.conf")
    tandem.run("supervisorctl", "update")

    await_true(lambda: tandem.states()["worker:worker_00"] == "FATAL", seconds=30, what="the worker is given up")
    code, output = tandem.run("queue", "health")
    assert code == 1
    assert re.search("^fail  worker_00 .*FATAL", output, re.MULTILINE)
    assert tandem.note(tandem.hand_in("Good morning."))["status"] == "queued"
    assert "worker_00 cannot be started, supervisord gave up (FATAL)" in tandem.output(
        "cat", "/var/log/supervisor/eventlistener.log"
    )


@pytest.mark.parametrize("program", ["proxy", "web", "redis"])
def test_without_web_or_redis_the_container_ends_with_a_code(start: Start, program: str) -> None:
    tandem = start().await_healthy()
    tandem.output("sed", "-i", "s/^command=.*/command=false/", f"/run/tandem/programs/{program}.conf")
    tandem.run("supervisorctl", "update")

    assert tandem.docker.wait(timeout=60)["StatusCode"] == 70
    assert f"{program} cannot be started, supervisord gave up (FATAL)" in tandem.docker.logs().decode()


def test_a_second_signal_ends_a_worker_at_once_and_its_message_is_requeued(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()
    tandem.send("nap", "nap", LONG)
    await_true(lambda: tandem.noted("nap:began"), seconds=20, what="it has begun")

    tandem.output("supervisorctl", "signal", "TERM", "worker:worker_00")
    await_true(lambda: "stopping on SIGTERM" in tandem.worker_log(), seconds=5, what="it drains")
    tandem.output("supervisorctl", "signal", "TERM", "worker:worker_00")

    await_true(lambda: len(tandem.noted("nap:began")) == 2, seconds=5, what="the message runs again")


def test_stopping_the_web_on_purpose_does_not_end_the_container(start: Start) -> None:
    tandem = start().await_healthy()
    tandem.output("supervisorctl", "stop", "web")
    tandem.output("supervisorctl", "start", "web")

    assert tandem.docker.status == "running"
    await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=10, what="healthy again")


def test_more_workers_are_taken_over_while_a_message_runs(start: Start) -> None:
    tandem = start(WORKERS="1").await_healthy()
    tandem.send("nap", "nap", 3)
    await_true(lambda: tandem.noted("nap:began"), seconds=20, what="it has begun")
    tandem.output("sed", "-i", "s/numprocs=.*/numprocs=3/", "/run/tandem/programs/worker.conf")

    tandem.output("supervisorctl", "update")

    await_true(lambda: tandem.states().get("worker:worker_02") == "RUNNING", seconds=20, what="a third worker")
    assert len(tandem.noted("nap:began")) == len(tandem.noted("nap")) == 1


def test_messages_of_a_lost_container_run_in_another_one_within_15_seconds(
    network: Network, redis_elsewhere: str, start: Start
) -> None:
    settings = {"REDIS_URL": f"redis://{redis_elsewhere}:6379/0", "WORKERS": "1"}
    lost = start(**settings).await_healthy()
    lost.send("nap", "nap", 600)  # before there is another worker that could claim it
    other = start(**settings).await_healthy()

    def begun() -> str:
        return other.output("redis-cli", "-h", redis_elsewhere, "LLEN", "nap:began").strip()

    await_true(lambda: begun() == "1", seconds=20, what="it has begun")
    lost.docker.kill()

    await_true(lambda: begun() == "2", seconds=15, what="it runs again")
    assert "requeued 1 messages of work from" in other.worker_log()


def test_poison_messages_harm_neither_their_neighbours_nor_the_other_workers(start: Start) -> None:
    tandem = start().await_healthy()
    tandem.send("nap", "nap", 2, times=2)
    tandem.send("die", "poison", times=3)
    tandem.send("count", "after", "n", times=5)

    await_true(lambda: tandem.redis("ZCARD", "dramatiq:work.XQ").strip() == "3", seconds=90, what="three dead letters")
    await_true(lambda: len(tandem.noted("nap")) >= 2, seconds=30, what="the harmless long ones")
    await_true(lambda: set(tandem.noted("after")) == set("01234"), seconds=30, what="the harmless short ones")
    assert tandem.redis("ZCARD", "dramatiq:work.XQ").strip() == "3"
    await_true(lambda: tandem.states()["worker:worker_00"] == "RUNNING", seconds=20, what="the workers live")


def test_a_redis_that_was_away_costs_no_message_and_no_worker(start: Start) -> None:
    tandem = start(WORKERS="1", WORKER_MESSAGE_LIMIT="8").await_healthy()
    tandem.output("supervisorctl", "signal", "KILL", "redis")
    await_true(lambda: tandem.run("queue", "health")[0] == 0, seconds=20, what="healthy again")

    tandem.send("count", "counted", "n", times=30)

    await_true(lambda: len(tandem.noted("counted")) >= 30, seconds=60, what="all messages")
    assert sorted(map(int, tandem.noted("counted"))) == list(range(30))


def test_a_worker_that_stops_while_redis_is_away_finishes_its_message(start: Start) -> None:
    tandem = start(WORKERS="1", WORKER_THREADS="1").await_healthy()
    tandem.send("nap", "nap", 6)
    await_true(lambda: tandem.noted("nap:began"), seconds=20, what="it has begun")
    tandem.hand_in("Good morning.")
    tandem.output("supervisorctl", "stop", "redis")
    tandem.output("supervisorctl", "signal", "TERM", "worker:worker_00")
    await_true(lambda: "stopping on SIGTERM" in tandem.worker_log(), seconds=10, what="it drains")
    tandem.output("supervisorctl", "start", "redis")

    await_true(lambda: tandem.noted("nap"), seconds=30, what="it has finished")
    await_true(lambda: tandem.worker_log().count("worker.main: consuming") == 2, seconds=30, what="a successor")
    assert len(tandem.noted("nap:began")) == len(tandem.noted("nap")) == 1


def test_a_queue_that_is_named_first_overtakes_a_backlog_of_the_others(start: Start) -> None:
    settings = {"WORKERS": "1", "WORKER_MESSAGE_LIMIT": "0", "WORKER_QUEUES": "urgent,work,notes"}
    tandem = start(**settings, LOG_LEVEL="WARNING").await_healthy()
    tandem.output("supervisorctl", "stop", "worker:*")
    tandem.send("nap", "backlog", 0.001, times=10_000)
    tandem.output("supervisorctl", "start", "worker:*")
    await_true(lambda: int(tandem.redis("LLEN", "backlog")), seconds=20, what="the first of the backlog")

    tandem.send("overtake", "waits", "now", times=20)

    waits = await_true(lambda: tandem.noted("waits")[19:], seconds=20, what="the urgent ones")
    assert waits
    assert int(tandem.redis("LLEN", "backlog")) < 10_000
    assert max(map(float, tandem.noted("waits"))) < 1
