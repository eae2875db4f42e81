"""QUEUE_TRANSPORT=sync: handled at dispatch, in the caller, by the same rules, without Redis."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import dramatiq
from tandem.broker import keys
from tandem.runtime import get_broker
calls = []

@dramatiq.actor(max_retries=2, retry_delay=10)
def work(succeeds_at, then=None):
    calls.append(dramatiq.middleware.CurrentMessage.get_current_message().options.get("retries", 0))
    if len(calls) < succeeds_at:
        raise ValueError("not yet")
    if then:
        work.send(then)

{body}
redis = get_broker().client
left = redis.zcard(keys.dead("default")), redis.llen(keys.ready("default")), redis.hlen(keys.payloads("default"))
print(calls, *left)
"""


def run(body: str) -> str:
    """What a process of its own prints that has neither Redis nor workers."""
    program = PROGRAM.replace("{body}", body)
    done = subprocess.run(
        [sys.executable, "-c", program], env={"QUEUE_TRANSPORT": "sync"}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_requeued_dead_letter_is_handled_at_once() -> None:
    again = "letters = get_broker().dead_letters; letters.retry(list(letters.newest(['default'], limit=1)))"
    assert run(f"work.send(4); {again}") == "[0, 1, 2, 0] 0 0 0"


def test_an_async_actor_is_handled_like_any_other() -> None:
    body = """
get_broker().add_middleware(dramatiq.middleware.AsyncIO())
@dramatiq.actor
async def later():
    work.send(1)
later.send()
"""
    assert run(body) == "[0] 0 0 0"


def test_a_message_that_a_script_has_sent_is_handled_after_it() -> None:
    body = """
from tandem.broker.outbox import ENQUEUE
along = get_broker().outbox_message(work.message(1))
along.sent()
print(len(calls), end=" ")
get_broker().client.register_script(ENQUEUE + "return enqueue(KEYS, ARGV)")(along.keys, along.arguments)
along.sent()
"""
    assert run(body) == "0 [0] 0 0 0"


@pytest.mark.parametrize(
    ("body", "printed"),
    [
        ("work.send(1)", "[0] 0 0 0"),
        ("work.send(3)", "[0, 1, 2] 0 0 0"),
        ("work.send(9)", "[0, 1, 2] 1 0 0"),
        ("work.send(1, then=2)", "[0, 0] 0 0 0"),
        ("work.send_with_options(args=(1,), delay=3_600_000)", "[0] 0 0 0"),
    ],
    ids=[
        "at once",
        "after two retries",
        "a dead letter after the last",
        "one sends another",
        "a delay is not waited for",
    ],
)
def test_a_message_is_handled_before_send_returns(body: str, printed: str) -> None:
    assert run(body) == printed
