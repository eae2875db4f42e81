"""Probes of pipelines and groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dramatiq import group, pipeline

from tests.conformance.probes.lab import (
    QUICK,
    Lab,
    add,
    collected,
    failing,
    probe,
)


def _adding(lab: Lab) -> Any:
    return lab.actor(lambda *numbers: sum(number or 0 for number in numbers), store_results=True, max_retries=0)


def _pipeline(lab: Lab, build: Callable[[Any], list[Any]], **options: Any) -> object:
    work = _adding(lab)
    pipe = pipeline(build(work), broker=lab.broker).run(**options)
    lab.work(work)
    return [lab.ran, collected(lab, pipe.messages)]


PIPELINES: dict[str, Callable[[Any], list[Any]]] = {
    "one message": lambda work: [work.message(1)],
    "two messages": lambda work: [work.message(1), work.message(2)],
    "four messages": lambda work: [work.message(number) for number in range(1, 5)],
    "one that ignores the result": lambda work: [
        work.message(1),
        work.message_with_options(args=(2,), pipe_ignore=True),
        work.message(3),
    ],
}
for _name, _build in PIPELINES.items():
    add(f"pipeline: {_name}", _pipeline, _build)
    add(f"pipeline with a delay: {_name}", _pipeline, _build, delay=20)


@probe("a pipeline ends at a failure")
def _(lab: Lab) -> object:
    work = lab.actor(lambda number, *_: number // 0 if number == 2 else number, store_results=True, max_retries=0)
    pipe = pipeline([work.message(1), work.message(2), work.message(3)], broker=lab.broker).run()
    lab.work(work)
    return [lab.ran, lab.dead(), collected(lab, pipe.messages)]


@probe("a pipeline goes on after a retry")
def _(lab: Lab) -> object:
    fail = failing(1)
    first = lab.actor(lambda number: fail() and number, "first", **{**QUICK, "max_retries": 2})
    second = lab.actor(name="second")
    pipeline([first.message(1), second.message(2)], broker=lab.broker).run()
    lab.work(first, second)
    return lab.outcome()


@probe("a group of messages has all results")
def _(lab: Lab) -> object:
    work = _adding(lab)
    sent = group([work.message(number) for number in range(5)], broker=lab.broker).run()
    lab.work(work)
    return [sorted(lab.ran), collected(lab, sent.children), len(sent)]


@probe("a group with a failure")
def _(lab: Lab) -> object:
    work = lab.actor(lambda number: 1 // number, store_results=True, max_retries=0)
    sent = group([work.message(0), work.message(1)], broker=lab.broker).run()
    lab.work(work)
    return [sorted(lab.ran), collected(lab, sent.children), lab.dead()]


@probe("a group of pipelines")
def _(lab: Lab) -> object:
    work = _adding(lab)
    pipes = [pipeline([work.message(number), work.message(10)], broker=lab.broker) for number in range(3)]
    group(pipes, broker=lab.broker).run()
    lab.work(work)
    return sorted(lab.ran)


@probe("a group of groups")
def _(lab: Lab) -> object:
    work = _adding(lab)
    inner = [group([work.message(number)], broker=lab.broker) for number in range(3)]
    group(inner, broker=lab.broker).run()
    lab.work(work)
    return sorted(lab.ran)


@probe("a group with a delay")
def _(lab: Lab) -> object:
    work = _adding(lab)
    group([work.message(number) for number in range(3)], broker=lab.broker).run(delay=20)
    lab.work(work)
    return sorted(lab.ran)


def _callbacks_of_group(lab: Lab, times: int, retries: int) -> object:
    work = lab.actor(failing(times), **{**QUICK, "max_retries": retries})
    done = lab.actor(name="done")
    sent = group([work.message(number) for number in range(3)], broker=lab.broker)
    sent.add_completion_callback(done.message("all"))
    sent.run()
    lab.work(work, done)
    return [sorted(map(str, lab.ran)), lab.dead()]


for _name, (_times, _count) in {"success": (0, 0), "a retry": (1, 1), "a dead letter": (1, 0)}.items():
    add(f"the callback of a group with {_name}", _callbacks_of_group, _times, _count)
