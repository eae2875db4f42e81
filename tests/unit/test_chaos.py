"""The chaos run itself: the same seed is the same run, and no broken promise passes its eyes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import requests

from tests.chaos.cluster import sent_at
from tests.chaos.killer import Killer
from tests.chaos.plan import KILLS, KILLS_EMBEDDED, KILLS_EXTERNAL, MESSAGES, Kill, Message, draw
from tests.chaos.report import Report, evaluate
from tests.chaos.sender import Sent, written

MARK = Message("mark-1", "mark", "mark")
FLAKY = Message("flaky-1", "flaky", "flaky", runs=3, arguments=(2,))
HOPELESS = Message("always_fails-1", "always_fails", "always_fails", runs=2)
NOTE = Message("note-1", "note", "note", arguments=(1,))
DONE = {"id": "n1", "status": "done", "result": written(NOTE)[1], "error": None}


class World:
    """What there is after a run; well, unless a test changes it."""

    def __init__(self) -> None:
        self.sent = Sent(accepted={one.id: one for one in (MARK, FLAKY, HOPELESS, NOTE)}, notes={NOTE.id: "n1"})
        self.runs = {"mark-1": [100.0], "flaky-1": [101.0, 102.0, 103.0], "always_fails-1": [104.0, 105.0]}
        self.dead = {"chaos": {"always_fails-1": "RuntimeError"}, "notes": {}}
        self.records: list[Any] = [1, []]
        self.document: dict[str, Any] | None = dict(DONE)
        self.left: dict[str, int] = {}
        self.intervals: list[str] = []
        self.said: list[str] = []
        self.kills: list[tuple[Kill, float, float]] = []
        self.missed: list[str] = []
        self.broken: list[str] = []

    def evaluate(self) -> Report:
        world: Any = self
        return evaluate(world, world, world, planned=4)

    def ask(self, *command: str) -> Any:
        if command[:2] == ("LRANGE", "chaos:intervals"):
            return self.intervals
        if command[0] == "LRANGE":
            return [f"{id_} {at}" for id_, times in self.runs.items() for at in times]
        if command[0] == "EVAL":
            return self.records
        letters = self.dead[command[1].split(":")[1].removesuffix(".XQ.msgs")]
        return {
            id_: json.dumps({"args": [id_], "options": {"attempts": [{"error": error}]}})
            for id_, error in letters.items()
        }

    def add_limited(self, actor: str, *intervals: str) -> None:
        """Add runs of an actor with a limit, `key begin end`, and a message of the keys a and b."""
        self.intervals += [f"{actor} {interval}" for interval in intervals]
        for key in "ab":
            one = Message(f"{actor}-{key}", actor, actor, arguments=(key, 0.1))
            self.sent.accepted[one.id] = one
            self.runs[one.id] = [100.0]

    def await_empty(self) -> dict[str, int]:
        return self.left

    def unhealthy(self) -> list[str]:
        return self.said

    def note(self, _id: str, *, tries: int) -> dict[str, Any] | None:
        return self.document


@pytest.fixture
def world() -> World:
    return World()


def test_a_run_that_kept_every_promise_is_good(world: World) -> None:
    report = world.evaluate()

    assert report.broken == []
    assert report.counts == Counter(
        {
            "accepted": 4,
            "refusals": 0,
            "runs": 6,
            "completed": 2,
            "dead": 1,
            "notes done": 1,
            "most of the rate 20/s in a second": 0,
        }
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda world: world.runs.pop("mark-1"), "lost: mark-1 ran 0 of 1 times"),
        (lambda world: world.runs["flaky-1"].pop(), "lost: flaky-1 ran 2 of 3 times"),
        (lambda world: world.dead["chaos"].clear(), "lost: always_fails-1"),
        (lambda world: world.dead["chaos"].update({"mark-1": "KeyError"}), "mark-1 became a dead letter of KeyError"),
        (lambda world: world.runs["mark-1"].append(200.0), "mark-1 ran at [100.0, 200.0], but nothing was killed"),
        (
            lambda world: world.add_limited("bounded", "a 1 4", "a 2 4", "a 3 4"),
            "3 messages of bounded with the key a ran",
        ),
        (lambda world: world.add_limited("single", "a 1 2"), "no message of single with the key b ran"),
        (
            lambda world: world.runs.update({f"rated-{number}": [200 + number / 100] for number in range(41)}),
            "41 messages of rated started in a second, whose rate is 20/s",
        ),
        (lambda world: world.left.update({"chaos ready": 3}), "stuck: chaos ready has 3"),
        (lambda world: world.sent.accepted.pop("mark-1"), "1 messages were never accepted"),
        (lambda world: world.sent.wrong.append("answered with 500"), "answered with 500"),
        (lambda world: world.records.__setitem__(1, ["tandem:note:n1"]), "n1: its result was stored more than once"),
        (lambda world: world.sent.done.update(n1=DONE | {"finished_at": "earlier"}), "changed after its end"),
        (lambda world: world.document.update(status="running"), "stuck: note-1 is running"),
        (lambda world: world.document.update(result="ELSE"), "its result is 'ELSE'"),
        (lambda world: world.document.update(status="failed", error="?"), "failed and is not a dead letter"),
        (lambda world: setattr(world, "document", None), "note n1 not found"),
        (lambda world: setattr(world, "records", [2, []]), "1 notes were accepted, and 2 are stored"),
        (lambda world: world.said.append("fail redis"), "not healthy at the end: fail redis"),
        (lambda world: world.broken.append("worker: not within 30 s"), "worker: not within 30 s"),
        (lambda world: world.missed.append("pause: too slow"), "inconclusive: Docker could not perform 1 of 1 kills"),
    ],
)
def test_a_broken_promise_is_reported_with_its_message(world: World, change: Any, sentence: str) -> None:
    change(world)
    assert sentence in "\n".join(world.evaluate().broken)


def test_a_message_may_run_again_where_something_was_killed(world: World) -> None:
    world.runs["mark-1"].append(110.0)
    world.kills.append((Kill("redis", 0, 0, 0), 104.0, 105.0))

    report = world.evaluate()

    assert report.broken == []
    assert report.counts["ran again"] == 1


def test_a_message_that_was_with_three_killed_workers_may_be_dead(world: World) -> None:
    world.runs.pop("mark-1")
    world.dead["chaos"]["mark-1"] = "WorkerKilled"
    assert world.evaluate().broken == []


def test_the_same_seed_is_the_same_run() -> None:
    assert draw(7, messages=300, kills=20) == draw(7, messages=300, kills=20)
    assert draw(7, messages=300, kills=20) != draw(8, messages=300, kills=20)


@pytest.mark.parametrize(("external", "more"), [(False, KILLS_EMBEDDED), (True, KILLS_EXTERNAL)])
def test_a_plan_has_all_messages_once_and_kills_of_every_kind(external: bool, more: dict[str, int]) -> None:
    steps = draw(1, messages=2000, kills=300, external=external)
    messages = [message for step in steps for request in step.requests for message in request]

    assert len({message.id for message in messages}) == len(messages) == 2000
    assert {message.kind for message in messages} == set(MESSAGES)
    assert {step.kill.kind for step in steps} == set(KILLS | more)


@pytest.mark.parametrize("output", ["", "\n", "0\n", "OCI runtime exec failed"])
def test_a_signal_of_which_nothing_is_heard_counts_as_not_sent(output: str) -> None:
    assert not sent_at(output)
    assert sent_at("1790000000.5\n") == 1790000000.5


class BusyHouse:
    """One in which nothing can be done, for the reason given."""

    redis = disk = None

    def __init__(self, reason: Exception) -> None:
        self.tandems = [self]
        self._reason = reason

    def revive(self) -> None:
        """Has nothing to do."""

    def signal(self, *_arguments: object, **_options: object) -> float:
        raise self._reason


@pytest.mark.parametrize(
    ("reason", "missed", "broken"),
    [
        (requests.ReadTimeout("60 s"), ["worker: 60 s"], []),
        (AssertionError("not within 30 s"), [], ["worker: not within 30 s"]),
    ],
)
def test_a_kill_that_did_not_work_is_noted_and_the_run_goes_on(
    reason: Exception, missed: list[str], broken: list[str]
) -> None:
    cluster: Any = BusyHouse(reason)
    killer = Killer(cluster)

    killer.do(Kill("worker", 0, 0, 0))

    assert (killer.missed, killer.broken, killer.kills) == (missed, broken, [])
