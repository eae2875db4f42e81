"""Dead letters on the real image: nothing is lost or doubled, whenever the command is killed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.integration.tandem import Tandem, await_true

Start = Callable[..., Tandem]
LETTERS = 10_000

# Dead letters as a worker writes them, of the probe that notes its number.
FILL = f"""
import json, time
from tandem.broker.connection import connect_to
client = connect_to("unix:///run/tandem/redis.sock")
pipeline = client.pipeline(transaction=False)
now = int(time.time() * 1000) - {LETTERS}
for number in range({LETTERS}):
    id_ = f"00000000-0000-4000-8000-{{number:012}}"
    attempt = {{"at": "2026-11-22T05:12:01.123Z", "worker": "gone:worker_00", "error": "OSError", "message": "no"}}
    options = {{"attempts": [attempt], "attempt_count": 1, "retries": 3, "traceback": "x" * 500}}
    message = {{"queue_name": "work", "actor_name": "count", "args": ["handled", number], "kwargs": {{}},
               "options": options | {{"redis_message_id": id_}}, "message_id": id_, "message_timestamp": now}}
    pipeline.zadd("dramatiq:work.XQ", {{id_: now + number // 10}})
    pipeline.hset("dramatiq:work.XQ.msgs", id_, json.dumps(message))
    pipeline.hset("dramatiq:work.XQ.kinds", id_, "count\\tOSError")
    pipeline.hincrby("dramatiq:work.XQ.counts", "count\\tOSError", 1)
pipeline.execute()
"""
# Every place at one moment.
LOOK = """
import json
from tandem.broker.connection import connect_to
client = connect_to("unix:///run/tandem/redis.sock", decode=True)
look = client.pipeline(transaction=True)
look.lrange("dramatiq:work", 0, -1).hkeys("dramatiq:work.msgs")
look.zrange("dramatiq:work.XQ", 0, -1).hkeys("dramatiq:work.XQ.msgs").hkeys("dramatiq:work.XQ.kinds")
look.hvals("dramatiq:work.XQ.counts")
print(json.dumps(look.execute()))
"""
# Kills the command as soon as the first messages have moved.
KILL = """
queue failed retry --all --force & command=$!
while [ "$(redis-cli -s /run/tandem/redis.sock ZCARD dramatiq:work.XQ)" = "$1" ]; do :; done
kill -9 $command
"""


def dead(tandem: Tandem) -> int:
    return int(tandem.redis("ZCARD", "dramatiq:work.XQ"))


def test_killed_in_the_middle_of_a_retry_of_all_nothing_is_lost_or_doubled(start: Start) -> None:
    tandem = start(WORKER_MESSAGE_LIMIT="0").await_healthy()
    tandem.output("supervisorctl", "stop", "worker:*")
    tandem.output("python", "-c", FILL)
    every = tandem.redis("ZRANGE", "dramatiq:work.XQ", "0", "-1").split()

    for _ in range(3):
        before = dead(tandem)
        tandem.output("timeout", "30", "sh", "-c", KILL, "kill", str(before))
        ready, payloads, *places, counts = json.loads(tandem.output("python", "-c", LOOK))
        still = places[0]
        assert 0 < len(still) < before, "it was not killed in the middle"
        assert sorted(ready + still) == every
        assert sorted(payloads) == sorted(ready)
        assert all(sorted(place) == sorted(still) for place in places)
        assert counts == [str(len(still))]

    assert "Retried" in tandem.output("queue", "failed", "retry", "--all", "--force")
    tandem.output("supervisorctl", "start", "worker:*")
    await_true(lambda: len(tandem.noted("handled")) >= LETTERS, seconds=60, what="all messages are handled")
    await_true(lambda: tandem.redis("LLEN", "dramatiq:work").strip() == "0", seconds=10, what="an empty queue")
    assert sorted(map(int, tandem.noted("handled"))) == list(range(LETTERS))


def test_what_is_shown_can_be_retried_and_removed_by_its_id(start: Start) -> None:
    tandem = start().await_healthy()
    tandem.output("python", "-c", FILL)

    lines = tandem.output("queue", "failed", "show", "--max", "2").splitlines()
    first, second = (line.split()[-1] for line in lines[1:3])
    assert lines[-1] == "2 of 10,000 shown, newest first; next: queue failed show ID"
    assert f"queue failed retry {first}" in tandem.output("queue", "failed", "show", first)
    tandem.output("queue", "failed", "retry", first)
    await_true(lambda: tandem.noted("handled") == ["9999"], seconds=10, what="the retried message is handled")

    code, output = tandem.run("queue", "failed", "remove", second)
    assert code == 1 and "--force" in output
    assert dead(tandem) == 9999
    tandem.output("queue", "failed", "remove", "--all", "--force")
    assert not re.search(r"\.XQ", tandem.redis("SCAN", "0", "COUNT", "1000"))
