"""The chaos run itself: the same seed is the same run, and no broken promise passes its eyes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.chaos.plan import KILLS, MESSAGES, Kill, Message, draw
from tests.chaos.sender import Sent, paragraphs
from tests.chaos.verdict import Verdict, judge

MARK = Message("mark-1", "mark", "mark")
FALTER = Message("falter-1", "falter", "falter", runs=3, arguments=(2,))
DESPAIR = Message("despair-1", "despair", "despair", runs=2)
TRANSLATE = Message("translate-1", "translate", "translate", arguments=(1,))
DONE = {"id": "t1", "status": "done", "translation": paragraphs(TRANSLATE)[1], "error": None}


class World:
    """What there is after a run; well, unless a test changes it."""

    def __init__(self) -> None:
        self.sent = Sent(
            accepted={one.id: one for one in (MARK, FALTER, DESPAIR, TRANSLATE)}, translations={TRANSLATE.id: "t1"}
        )
        self.runs = {"mark-1": [100.0], "falter-1": [101.0, 102.0, 103.0], "despair-1": [104.0, 105.0]}
        self.dead = {"chaos": {"despair-1": "RuntimeError"}, "translations": {}}
        self.stored = {"t1": "1"}
        self.records = [1, 0]
        self.document: dict[str, Any] | None = dict(DONE)
        self.left: dict[str, int] = {}
        self.said: list[str] = []
        self.kills: list[tuple[Kill, float, float]] = []
        self.missed: list[str] = []

    def judge(self) -> Verdict:
        world: Any = self
        return judge(world, world, world, planned=4)

    def ask(self, *command: str) -> Any:
        if command[0] == "LRANGE":
            return [f"{id_} {at}" for id_, times in self.runs.items() for at in times]
        if command[0] == "EVAL":
            return self.records
        if command[1] == "chaos:stored":
            return self.stored
        letters = self.dead[command[1].split(":")[1].removesuffix(".XQ.msgs")]
        return {
            id_: json.dumps({"args": [id_], "options": {"attempts": [{"error": error}]}})
            for id_, error in letters.items()
        }

    def await_empty(self) -> dict[str, int]:
        return self.left

    def ailing(self) -> list[str]:
        return self.said

    def translation(self, _id: str, *, tries: int) -> dict[str, Any] | None:
        return self.document


@pytest.fixture
def world() -> World:
    return World()


def test_a_run_that_kept_every_promise_is_good(world: World) -> None:
    verdict = world.judge()

    assert verdict.broken == []
    assert verdict.counts == Counter(
        {"accepted": 4, "refusals": 0, "runs": 6, "handled": 2, "dead": 1, "translations done": 1}
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda world: world.runs.pop("mark-1"), "lost: mark-1 ran 0 of 1 times"),
        (lambda world: world.runs["falter-1"].pop(), "lost: falter-1 ran 2 of 3 times"),
        (lambda world: world.dead["chaos"].clear(), "lost: despair-1"),
        (lambda world: world.dead["chaos"].update({"mark-1": "KeyError"}), "mark-1 became a dead letter of KeyError"),
        (lambda world: world.runs["mark-1"].append(200.0), "mark-1 ran at [100.0, 200.0], and nothing was killed"),
        (lambda world: world.left.update({"chaos ready": 3}), "stuck: chaos ready has 3"),
        (lambda world: world.sent.accepted.pop("mark-1"), "1 messages were never accepted"),
        (lambda world: world.sent.wrong.append("answered with 500"), "answered with 500"),
        (lambda world: world.stored.update(t1="2"), "its result was stored 2 times"),
        (lambda world: world.sent.done.update(t1=DONE | {"finished_at": "earlier"}), "changed after its end"),
        (lambda world: world.document.update(status="running"), "stuck: translate-1 is running"),
        (lambda world: world.document.update(translation="Otra cosa."), "its result is 'Otra cosa.'"),
        (lambda world: world.document.update(status="failed", error="?"), "failed and is no dead letter"),
        (lambda world: setattr(world, "document", None), "nobody tells of translation t1"),
        (lambda world: setattr(world, "records", [2, 0]), "1 translations were accepted, and 2 are stored"),
        (lambda world: setattr(world, "records", [1, 1]), "1 translations still have chunks"),
        (lambda world: world.said.append("fail redis"), "not healthy at the end: fail redis"),
    ],
)
def test_a_broken_promise_is_told_with_its_message(world: World, change: Any, told: str) -> None:
    change(world)
    assert told in "\n".join(world.judge().broken)


def test_a_message_may_run_again_where_something_was_killed(world: World) -> None:
    world.runs["mark-1"].append(110.0)
    world.kills.append((Kill("redis", 0, 0, 0), 104.0, 105.0))

    verdict = world.judge()

    assert verdict.broken == []
    assert verdict.counts["ran again"] == 1


def test_a_message_that_was_with_three_killed_workers_may_be_dead(world: World) -> None:
    world.runs.pop("mark-1")
    world.dead["chaos"]["mark-1"] = "WorkerKilled"
    assert world.judge().broken == []


def test_the_same_seed_is_the_same_run() -> None:
    assert draw(7, messages=300, kills=20) == draw(7, messages=300, kills=20)
    assert draw(7, messages=300, kills=20) != draw(8, messages=300, kills=20)


def test_a_plan_has_all_messages_once_and_kills_of_every_kind() -> None:
    steps = draw(1, messages=2000, kills=200)
    messages = [message for step in steps for request in step.requests for message in request]

    assert len({message.id for message in messages}) == len(messages) == 2000
    assert {message.kind for message in messages} == set(MESSAGES)
    assert {step.kill.kind for step in steps} == set(KILLS)
