"""Probes of middleware of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from dramatiq.middleware import Middleware, SkipMessage
from dramatiq.results import ResultFailure, ResultMissing

from tests.conformance.probes.lab import (
    QUICK,
    Lab,
    add,
    failing,
    probe,
)


def _middleware(lab: Lab, hook: str, act: Callable[..., None], *, times: int = 0, **options: Any) -> dict[str, Any]:
    part = type("Part", (Middleware,), {hook: lambda self, broker, message, *_, **__: act(broker, message)})()
    lab.broker.add_middleware(part)
    work = lab.actor(failing(times), **{**QUICK, "max_retries": 1, "store_results": True, **options})
    sent = work.send(1)
    lab.work(work)
    try:
        result = sent.get_result(backend=lab.results)
    except (ResultMissing, ResultFailure) as error:
        result = str(error) if isinstance(error, ResultFailure) else type(error).__name__
    return {**lab.outcome(), "signals": lab.signals.summary(), "result": result}


def _skip(*_: object) -> None:
    raise SkipMessage("no")


def _bug(*_: object) -> None:
    raise ZeroDivisionError("a bug of a middleware")


MIDDLEWARE: dict[str, tuple[str, Callable[..., None], int]] = {
    "fail before the message runs": ("before_process_message", lambda _b, message: message.fail(), 0),
    "fail after it has run": ("after_process_message", lambda _b, message: message.fail(), 0),
    "fail after it has failed": ("after_process_message", lambda _b, message: message.fail(), 9),
    "skip": ("before_process_message", _skip, 0),
    "skip one that would fail": ("before_process_message", _skip, 9),
    "a bug before the message runs": ("before_process_message", _bug, 0),
    "a bug after it has run": ("after_process_message", _bug, 0),
    "a bug after it has failed": ("after_process_message", _bug, 9),
    "a bug before it is enqueued": ("before_enqueue", _bug, 0),
    "a bug after it was enqueued": ("after_enqueue", _bug, 0),
    "a bug at its acknowledgement": ("before_ack", _bug, 0),
    "a bug after its acknowledgement": ("after_ack", _bug, 0),
    "a bug at its rejection": ("before_nack", _bug, 9),
    "nothing at all": ("before_process_message", lambda *_: None, 1),
}
for _name, (_hook, _act, _times) in MIDDLEWARE.items():
    add(f"a middleware does: {_name}", _middleware, _hook, _act, times=_times)


@probe("a middleware sees and changes the options of a message")
def _(lab: Lab) -> object:
    seen: list[Any] = []

    class Tenant(Middleware):
        actor_options = {"tenant"}  # noqa: RUF012

        def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
            message.options.setdefault("tenant", broker.get_actor(message.actor_name).options.get("tenant"))

        def before_process_message(self, broker: Any, message: Any) -> None:
            seen.append(message.options["tenant"])

    lab.broker.add_middleware(Tenant())
    work = lab.actor(failing(1), **{**QUICK, "max_retries": 1, "tenant": "blue"})
    work.send(1)
    work.send_with_options(args=(2,), tenant="red")
    lab.work(work)
    return [sorted(seen), lab.dead()]


@probe("middleware is called in its order before, and in the reverse order after")
def _(lab: Lab) -> object:
    seen: list[str] = []

    def part(name: str) -> Middleware:
        def note(moment: str) -> Callable[..., None]:
            return lambda *_, **__: seen.append(f"{name} {moment}")

        hooks = {f"{moment}_process_message": note(moment) for moment in ("before", "after")}
        return cast(Middleware, type(name, (Middleware,), hooks)())

    first, second = part("first"), part("second")
    lab.broker.add_middleware(second)
    lab.broker.add_middleware(first, before=type(second))
    lab.broker.add_middleware(part("third"), after=type(first))
    work = lab.actor()
    work.send(1)
    lab.work(work)
    return seen


@probe("retries are sent with the hooks of a message")
def _(lab: Lab) -> object:
    delays: list[int] = []

    class Delays(Middleware):
        def after_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
            if delay is not None:
                delays.append(message.options["retries"])

    lab.broker.add_middleware(Delays())
    work = lab.actor(failing(2), **{**QUICK, "max_retries": 2})
    work.send(1)
    lab.work(work)
    return delays


@probe("the same part twice is refused or taken as by dramatiq")
def _(lab: Lab) -> object:
    part = type("Part", (Middleware,), {})
    lab.broker.add_middleware(part())
    lab.broker.add_middleware(part())
    return sum(type(one) is part for one in lab.broker.middleware)
