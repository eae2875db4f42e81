"""Pause, resume, purge and stop-workers: what they change, what they never touch, and what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import click
import dramatiq
import pytest
import redis
from click.testing import CliRunner, Result
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from fakeredis import FakeRedis

from tandem import runtime
from tandem.broker import keys
from tandem.cli import control_commands as commands
from tandem.operate import control, removal
from tandem.operate.control import BATCH, LOST_MS, Purge
from tandem.operate.removal import ASIDE_MS

QUEUE = "invoices"
NOW = current_millis()
notified: list[tuple[str, str]] = []


class OnFailed(dramatiq.Middleware):
    @property
    def actor_options(self) -> set[str]:
        return {"on_failed"}


@pytest.fixture
def client() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def broker(client: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisBroker]:
    broker = RedisBroker(client=client, middleware=[OnFailed()])

    @dramatiq.actor(broker=broker, queue_name=QUEUE, on_failed=lambda message, error: on_failed(message, error))
    def work(number: str) -> None: ...

    @dramatiq.actor(broker=broker, queue_name=QUEUE)
    def silent(number: str) -> None: ...

    monkeypatch.setattr(runtime, "configure", lambda _settings: broker)
    notified.clear()
    yield broker


def on_failed(message: dramatiq.Message[Any], error: BaseException) -> None:
    notified.append((message.args[0], str(error)))


def message(id_: str, actor: str = "work") -> bytes:
    return dramatiq.Message(QUEUE, actor, (id_,), {}, {}, message_id=id_).encode()


def put_ready(client: FakeRedis, *ids: str, actor: str = "work") -> None:
    for id_ in ids:
        client.hset(keys.payloads(QUEUE), id_, cast(str, message(id_, actor)))
        client.hset(keys.deliveries(QUEUE), id_, 0)
        client.rpush(keys.ready(QUEUE), id_)


def put_delayed(client: FakeRedis, id_: str, due: int) -> None:
    client.hset(keys.payloads(QUEUE), id_, cast(str, message(id_)))
    client.zadd(keys.delayed(QUEUE), {id_: due})


def purged(broker: RedisBroker) -> int:
    return list(Purge(broker.client, broker, QUEUE).run())[-1]


def run(command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def everything(client: FakeRedis) -> dict[object, object]:
    """All of Redis, to see that nothing was changed."""
    return {key: client.dump(key) for key in client.keys()}  # noqa: SIM118


def test_purge_removes_waiting_messages_and_calls_their_on_failed(client: FakeRedis, broker: RedisBroker) -> None:
    put_ready(client, "a", "b")
    put_delayed(client, "c", NOW + 3_600_000)

    assert purged(broker) == 3

    assert sorted(notified) == [(id_, "removed from the queue invoices by an operator") for id_ in "abc"]
    assert client.keys() == []


def test_purge_leaves_running_messages_and_dead_letters(client: FakeRedis, broker: RedisBroker) -> None:
    put_ready(client, "a")
    client.hset(keys.payloads(QUEUE), "running", cast(str, message("running")))
    client.hset(keys.deliveries(QUEUE), "running", 1)
    client.sadd(keys.claimed("host:worker_00", QUEUE), "running")
    client.zadd(keys.dead(QUEUE), {"dead": NOW})
    client.hset(keys.dead_payloads(QUEUE), "dead", cast(str, message("dead")))

    assert purged(broker) == 1

    assert client.hkeys(keys.payloads(QUEUE)) == client.hkeys(keys.deliveries(QUEUE)) == [b"running"]
    assert client.smembers(keys.claimed("host:worker_00", QUEUE)) == {b"running"}
    assert client.zrange(keys.dead(QUEUE), 0, -1) == client.hkeys(keys.dead_payloads(QUEUE)) == [b"dead"]
    assert [id_ for id_, _ in notified] == ["a"]


def test_purge_leaves_what_comes_after_its_begin(client: FakeRedis, broker: RedisBroker) -> None:
    put_ready(client, *map(str, range(BATCH + 10)))
    put_delayed(client, "delayed", NOW + 1000)
    purge = Purge(client, broker, QUEUE)
    put_ready(client, "new")
    steps = purge.run()
    next(steps)
    put_ready(client, "newer")
    put_delayed(client, "later", NOW + 1000)

    assert list(steps)[-1] == BATCH + 11

    assert client.lrange(keys.ready(QUEUE), 0, -1) == [b"new", b"newer"]
    assert client.zrange(keys.delayed(QUEUE), 0, -1) == [b"later"]
    assert set(client.hkeys(keys.payloads(QUEUE))) == {b"new", b"newer", b"later"}


def test_purge_removes_no_more_than_it_found_when_the_last_one_is_requeued(
    client: FakeRedis, broker: RedisBroker
) -> None:
    put_ready(client, "a", "b")
    purge = Purge(client, broker, QUEUE)
    client.lpop(keys.ready(QUEUE), 2)
    put_ready(client, "new", "newer", "newest", "b")  # b did a part of its work and was snoozed

    assert list(purge.run())[-1] == 2

    assert client.llen(keys.ready(QUEUE)) == 2


def test_purge_removes_what_waits_for_a_limit(client: FakeRedis, broker: RedisBroker) -> None:
    put_ready(client, "ready", "parked")
    client.lpop(keys.ready(QUEUE), 2)
    client.rpush(keys.ready(QUEUE), "ready")
    client.zadd(keys.parked(QUEUE), {"work:\t1\tparked": 0})
    client.zadd(keys.lanes(QUEUE), {"work:": NOW})
    purge = Purge(client, broker, QUEUE)
    assert purge.ready == 2

    assert list(purge.run())[-1] == 2

    assert client.hlen(keys.payloads(QUEUE)) == client.zcard(keys.parked(QUEUE)) == 0
    assert {id_ for id_, _ in notified} == {"ready", "parked"}


def test_purge_takes_nothing_new_when_a_worker_took_the_last_old_one(client: FakeRedis, broker: RedisBroker) -> None:
    put_ready(client, "a", "b")
    purge = Purge(client, broker, QUEUE)
    client.lpop(keys.ready(QUEUE), 2)
    put_ready(client, "new")

    assert list(purge.run()) == []

    assert client.lrange(keys.ready(QUEUE), 0, -1) == [b"new"]
    assert notified == []


def test_a_purge_skips_a_delayed_message_that_a_worker_claimed_meanwhile(
    client: FakeRedis, broker: RedisBroker
) -> None:
    put_delayed(client, "a", NOW)
    put_delayed(client, "b", NOW)
    purge = Purge(client, broker, QUEUE)
    client.zrem(keys.delayed(QUEUE), "a")

    assert list(purge.run()) == [1]

    assert [id_ for id_, _ in notified] == ["b"]
    assert client.hkeys(keys.payloads(QUEUE)) == [b"a"]


def test_a_killed_purge_loses_no_unreported_message(
    client: FakeRedis, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_delayed(client, "soon", NOW)
    put_delayed(client, "tomorrow", NOW + 86_400_000)
    put_ready(client, "a", "b")
    calls: list[str] = []

    def kill(message: dramatiq.Message[Any], _error: BaseException) -> None:
        calls.append(message.args[0])
        if len(calls) == 3:
            raise KeyboardInterrupt

    broker.get_actor("work").options["on_failed"] = kill
    with pytest.raises(KeyboardInterrupt):
        purged(broker)

    # The two delayed ones were notified and are deleted; the others are ready again in a minute.
    assert sorted(calls[:2]) == ["soon", "tomorrow"]
    left = dict(cast("list[tuple[bytes, float]]", client.zrange(keys.delayed(QUEUE), 0, -1, withscores=True)))
    assert set(left) == set(client.hkeys(keys.payloads(QUEUE))) == {b"a", b"b"}
    assert all(NOW < due <= current_millis() + ASIDE_MS for due in left.values())


def test_no_worker_claims_a_delayed_message_while_it_is_purged_or_before_it_is_due(
    client: FakeRedis, broker: RedisBroker
) -> None:
    put_delayed(client, "soon", NOW)
    put_delayed(client, "tomorrow", NOW + 86_400_000)
    seen: dict[bytes, float] = {}

    def look(_message: object, _error: BaseException) -> None:
        seen.update(cast("list[tuple[bytes, float]]", client.zrange(keys.delayed(QUEUE), 0, -1, withscores=True)))

    broker.get_actor("work").options["on_failed"] = look
    purged(broker)

    assert seen[b"soon"] > NOW + ASIDE_MS / 2
    assert seen[b"tomorrow"] == NOW + 86_400_000


def test_a_slow_purge_deletes_and_puts_aside_again_before_the_minute_is_over(
    client: FakeRedis, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "NOTIFY_SECONDS", -1.0)
    put_ready(client, "a", "b", "c")

    assert list(Purge(client, broker, QUEUE).run()) == [1, 2, 3]

    assert [id_ for id_, _ in notified] == ["a", "b", "c"]


def test_undecodable_messages_and_those_of_unknown_actors_are_purged_as_well(
    client: FakeRedis, broker: RedisBroker
) -> None:
    put_ready(client, "a", actor="silent")
    put_ready(client, "b", actor="gone")
    put_ready(client, "c", "d", "e")
    client.hset(keys.payloads(QUEUE), "c", "no JSON")
    client.hset(keys.payloads(QUEUE), "d", '{"no": "message"}')
    client.hdel(keys.payloads(QUEUE), "e")

    assert purged(broker) == 5

    assert notified == []
    assert client.keys() == []


def test_a_bug_in_an_actors_last_word_does_not_keep_a_queue_full(
    client: FakeRedis, broker: RedisBroker, caplog: pytest.LogCaptureFixture
) -> None:
    put_ready(client, "a", "b")

    def break_down(_message: object, _error: BaseException) -> None:
        raise RuntimeError("a bug")

    broker.get_actor("work").options["on_failed"] = break_down
    assert purged(broker) == 2

    assert "on_failed of work failed for a, which is removed" in caplog.text


def test_redis_that_goes_away_ends_the_purge_before_the_message_is_forgotten(
    client: FakeRedis, broker: RedisBroker
) -> None:
    put_ready(client, "a")

    def lose(_message: object, _error: BaseException) -> None:
        raise redis.ConnectionError("away")

    broker.get_actor("work").options["on_failed"] = lose
    with pytest.raises(redis.ConnectionError):
        purged(broker)

    assert client.hkeys(keys.payloads(QUEUE)) == client.zrange(keys.delayed(QUEUE), 0, -1) == [b"a"]


def test_the_command_purge_says_what_it_removed(client: FakeRedis, broker: RedisBroker) -> None:
    put_ready(client, "a")
    put_delayed(client, "b", NOW + 3_600_000)

    result = run(commands.purge, QUEUE, "--force")

    assert (result.exit_code, result.output) == (
        0,
        "removed 2 messages of invoices; running messages and dead letters stay\n",
    )
    assert run(commands.purge, QUEUE).output == "no messages are waiting in invoices\n"


def test_purge_without_a_terminal_and_force_refuses_with_the_counts(client: FakeRedis, broker: RedisBroker) -> None:
    put_ready(client, "a", "b")
    put_delayed(client, "c", NOW + 3_600_000)
    before = everything(client)

    result = run(commands.purge, QUEUE)

    assert result.exit_code == 1
    assert result.output.startswith("Error: Remove 3 messages of invoices permanently (2 ready, 1 delayed)? Cannot")
    assert "--force" in result.output
    assert everything(client) == before


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (commands.pause, ["invoices", "nope"]),
        (commands.resume, ["invoices", "nope"]),
        (commands.purge, ["nope", "--force"]),
    ],
)
def test_an_unknown_queue_is_refused_in_one_line_and_nothing_is_changed(
    client: FakeRedis, broker: RedisBroker, command: click.Command, arguments: list[str]
) -> None:
    client.sadd(keys.QUEUES, "former")
    before = everything(client)

    result = run(command, *arguments)

    assert (result.exit_code, result.output) == (1, "Error: unknown queue nope: expected one of former, invoices\n")
    assert everything(client) == before


def test_pause_and_resume_say_what_they_mean_and_can_be_repeated(client: FakeRedis, broker: RedisBroker) -> None:
    client.sadd(keys.QUEUES, "former")

    assert run(commands.pause, "invoices", "former").output.splitlines() == [
        "invoices is paused",
        "former is paused",
        "running messages finish; new messages are accepted and wait",
        "next: queue resume invoices former",
    ]
    assert control.paused(client) == {"invoices", "former"}
    assert run(commands.pause, "invoices").output.startswith("invoices was already paused\n")
    assert run(commands.resume, "invoices").output == "invoices is resumed\n"
    assert run(commands.resume, "invoices").output == "invoices was not paused\n"
    assert control.paused(client) == {"former"}


def enter(client: FakeRedis, name: str, pid: int = 7, *, seen: int | None = None) -> None:
    client.hset(keys.WORKERS, name, json.dumps({"pid": pid, "started": 1.5}))
    client.zadd(keys.HEARTBEATS, {name: current_millis() if seen is None else seen})


def test_stop_workers_asks_every_living_worker_of_every_host(client: FakeRedis, broker: RedisBroker) -> None:
    enter(client, "one:worker_00")
    enter(client, "one:worker_01")
    enter(client, "two:worker_00")
    enter(client, "lost:worker_00", seen=current_millis() - LOST_MS - 1)
    client.zadd(keys.HEARTBEATS, {"one:queue-1a2b": current_millis()})  # has only sent something

    result = run(commands.stop_workers)

    assert result.exit_code == 0
    assert "asked 3 workers on 2 hosts to stop" in result.output
    first = client.get(keys.STOP)
    assert first
    run(commands.stop_workers)
    assert client.get(keys.STOP) not in (None, first)


def test_without_workers_no_worker_is_asked(client: FakeRedis, broker: RedisBroker) -> None:
    result = run(commands.stop_workers, "--wait")

    assert (result.exit_code, result.output) == (0, "no worker is running on this Redis\n")
    assert client.keys() == []


def test_waiting_ends_when_each_is_gone_or_replaced(
    client: FakeRedis, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(client, "one:worker_00", pid=7)
    enter(client, "two:worker_00", pid=7)
    looks = control.workers

    def go_on(client: FakeRedis) -> dict[str, dict[str, Any]]:
        """Return one worker less at each call: the first is replaced, the second removed."""
        seen = looks(client)
        if seen["one:worker_00"]["pid"] == 8:
            client.hdel(keys.WORKERS, "two:worker_00")
        enter(client, "one:worker_00", pid=8)
        return seen

    monkeypatch.setattr(control, "workers", go_on)
    monkeypatch.setattr(commands, "POLL_INTERVAL", 0.01)

    result = run(commands.stop_workers, "--wait")

    assert result.exit_code == 0
    assert result.output.splitlines()[-2:] == ["1 of 2 have stopped", "2 of 2 have stopped"]


def test_waiting_in_vain_names_those_that_stay(
    client: FakeRedis, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(client, "one:worker_00")
    monkeypatch.setattr(commands, "POLL_INTERVAL", 0.01)

    result = run(commands.stop_workers, "--wait", "--timeout", "1")

    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "Error: these workers are still running after 1 s: one:worker_00"


def test_a_queue_is_resumed_although_redis_is_full(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    control.pause(redis_, "default")

    def refuse(*_arguments: object) -> None:
        raise redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")

    monkeypatch.setattr(redis_, "rpush", refuse)

    assert control.resume(redis_, "default")
    assert not control.paused(redis_)
