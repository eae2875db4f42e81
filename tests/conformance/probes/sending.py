"""Probes of what is sent, and how."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import CurrentMessage

from tests.conformance.probes.lab import (
    QUICK,
    Lab,
    add,
    failing,
    probe,
)

ARGUMENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "none": ((), {}),
    "a number": ((1,), {}),
    "a float": ((1.5,), {}),
    "a large number": ((2**70,), {}),
    "text": (('schön ☃ \u0000 " \\',), {}),
    "a lone surrogate": (("\ud800",), {}),
    "None and booleans": ((None, True, False), {}),
    "lists and dictionaries": (([1, [2]], {"a": {"b": []}}), {}),
    "a tuple": (((1, 2),), {}),
    "keywords": ((), {"a": 1, "b": "two"}),
    "both": ((1,), {"b": 2}),
    "a dictionary with numbers as keys": (({1: 2},), {}),
    "a text of a megabyte": (("x" * 2**20,), {}),
}


def _sends(lab: Lab, arguments: tuple[Any, ...], more: dict[str, Any]) -> object:
    work = lab.actor()
    sent = work.send(*arguments, **more)
    lab.work(work)
    return [
        len(json.dumps(lab.ran)) if len(str(lab.ran)) > 10_000 else lab.ran,
        sent.args,
        sent.kwargs,
        sent.queue_name,
    ]


for _name, (_arguments, _more) in ARGUMENTS.items():
    add(f"arguments: {_name}", _sends, _arguments, _more)

DELAYS: dict[str, Any] = {"0": 0, "50 ms": 50, "a timedelta": timedelta(milliseconds=50), "a float": 50.5}


def _delayed(lab: Lab, delay: Any) -> object:
    at: list[float] = []
    work = lab.actor(lambda: at.append(time.time()))
    began = time.time()
    sent = work.send_with_options(delay=delay)
    lab.work(work)
    wanted = delay.total_seconds() if isinstance(delay, timedelta) else delay / 1000
    return [len(at), at[0] - began >= wanted - 0.001, "eta" in sent.options]


for _name, _delay in DELAYS.items():
    add(f"delay: {_name}", _delayed, _delay)


@probe("arguments that are no JSON are refused at send")
def _(lab: Lab) -> object:
    work = lab.actor()
    refused = []
    for value in (object(), {1, 2}, b"bytes", timedelta(1)):
        try:
            work.send(value)
        except Exception as error:
            refused.append(type(error).__name__)
    lab.work(work)
    return [refused, lab.ran]


@probe("a message that is sent twice runs twice and keeps its id")
def _(lab: Lab) -> object:
    ids: list[str] = []
    work = lab.actor(lambda: ids.append(CurrentMessage.get_current_message().message_id))  # type: ignore[union-attr]
    message = work.message()
    sent = [lab.broker.enqueue(message).message_id for _ in range(2)]
    lab.work(work)
    return [[id_ == message.message_id for id_ in sent], [id_ == message.message_id for id_ in ids]]


@probe("an actor sends its own message again with a delay")
def _(lab: Lab) -> object:
    def act(number: int) -> None:
        message = CurrentMessage.get_current_message()
        if message and not message.options.get("again"):
            lab.broker.enqueue(message.copy(options={"again": True}), delay=5)

    work = lab.actor(act)
    work.send(1)
    lab.work(work)
    return lab.outcome()


@probe("options of a message are kept")
def _(lab: Lab) -> object:
    seen: list[Any] = []
    work = lab.actor(lambda: seen.append(CurrentMessage.get_current_message().options))  # type: ignore[union-attr]
    work.send_with_options(color="red", max_retries=7)
    lab.work(work)
    return [{key: options[key] for key in ("color", "max_retries")} for options in seen]


@probe("an eta that is no number does not keep a message from running")
def _(lab: Lab) -> object:
    work = lab.actor()
    lab.broker.enqueue(work.message(1).copy(options={"eta": "tomorrow"}))
    lab.work(work)
    return lab.outcome()


@probe("a message that comes back is the one that was sent")
def _(lab: Lab) -> object:
    work = lab.actor()
    before = work.message(1, a=2)
    after = lab.broker.enqueue(before)
    same = ("queue_name", "actor_name", "args", "kwargs", "message_id", "message_timestamp")
    return [getattr(after, name) == getattr(before, name) for name in same]


@probe("actors with queues of their own")
def _(lab: Lab) -> object:
    one, two = lab.actor(name="one", queue_name="first"), lab.actor(name="two", queue_name="second")
    one.send(1)
    two.send(2)
    lab.work(one, two)
    return [sorted(lab.ran), sorted(queue for queue in lab.broker.get_declared_queues())]


@probe("a generic actor")
def _(lab: Lab) -> object:
    ran: list[Any] = []

    class Task(dramatiq.GenericActor):
        class Meta:
            broker = lab.broker
            abstract = True
            max_retries = 0

        def perform(self, number: int) -> None:
            ran.append([self.get_task_name(), number])

        def get_task_name(self) -> str:
            raise NotImplementedError

    class Foo(Task):
        def get_task_name(self) -> str:
            return "foo"

    Foo.send(1)
    lab.work()
    return [ran, Foo.options["max_retries"], Foo.actor_name]


@probe("an actor can be called as a function")
def _(lab: Lab) -> object:
    return [lab.actor(lambda number: number + 1)(1), lab.ran]


@probe("two actors of one name are refused")
def _(lab: Lab) -> object:
    lab.actor()
    with pytest.raises(ValueError) as raised:
        lab.actor()
    return str(raised.value)


@probe("an invalid name of a queue is refused")
def _(lab: Lab) -> object:
    with pytest.raises(ValueError) as raised:
        lab.actor(queue_name="no queue!")
    return str(raised.value)


@probe("an encoder of one's own")
def _(lab: Lab) -> object:
    before = dramatiq.get_encoder()
    dramatiq.set_encoder(dramatiq.PickleEncoder())
    try:
        work = lab.actor(failing(1), **{**QUICK, "max_retries": 1})
        work.send(timedelta(1))
        lab.work(work)
    finally:
        dramatiq.set_encoder(before)
    return [[str(argument) for argument in arguments] for arguments in lab.ran]
