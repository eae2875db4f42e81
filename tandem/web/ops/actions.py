"""What the page does: each action is one function, which says in a sentence what it has done.

All of them raise redis.RedisError, and Refused when nothing was done.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tandem.broker.broker import Broker
from tandem.broker.dead_letters import Retried
from tandem.broker.errors import Purged
from tandem.operate import control, message_control
from tandem.operate.messages import Filter, InvalidFilter, Messages
from tandem.operate.removal import Removal
from tandem.schedules.schedule import Definition
from tandem.schedules.store import ScheduleStore
from tandem.support.formatting import counted
from tandem.web.ops.formats import shown, unquoted

#: After so many seconds an action on many messages stops; pressed again, it goes on.
MOST_SECONDS = 20.0
_MORE = " There are more: press again to go on."

Form = Mapping[str, str]


class Refused(Exception):
    """Nothing was done; the text is one sentence."""

    def __init__(self, sentence: str, status: int = 409) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Done:
    """What was done: a sentence for the page, and for the action log what it was about and how many."""

    sentence: str
    about: str
    count: int = 1


@dataclass(frozen=True)
class Desk:
    """What actions need. schedules: those that are known, by name."""

    broker: Broker
    schedules: Callable[[], Mapping[str, Definition]]

    @property
    def messages(self) -> Messages:
        """The messages."""
        return Messages(self.broker.client, self.broker.get_declared_queues())


@dataclass(frozen=True)
class Action:
    """One action. question: what is asked before it, if something is gone afterwards, with {0} for what it is about."""

    run: Callable[[Desk, Form], Done]
    question: str = ""


def filter_of(form: Form, *, ids_only: bool = False) -> Filter:
    """Return the filter in the fields of a form or a query. Raises InvalidFilter."""
    queue, actor, error, text = (form.get(name, "") for name in ("queue", "actor", "error", "text"))
    state: Any = form.get("state") or "ready"
    return Filter(state, queue, actor, error, text, ids_only=ids_only)


def waiting_filter_of(form: Form) -> Filter:
    """Return a filter of messages that wait. Raises InvalidFilter."""
    wanted = filter_of(form)
    if wanted.state not in ("ready", "delayed"):
        raise InvalidFilter("only messages that wait can be canceled all at once")
    return wanted


def described(wanted: Filter) -> str:
    """Return the filter in the words of the command line."""
    named = {"queue": wanted.queue, "actor": wanted.actor, "error": wanted.error, "search": wanted.text}
    options = [f"--{name} {shown(value)}" for name, value in named.items() if value]
    return " ".join([f"--state {wanted.state}", *options])


# --- single messages -------------------------------------------------------------------------------------------------


def _retry_one(desk: Desk, form: Form) -> Done:
    return _one(desk, form, "retried", lambda letters: desk.broker.dead_letters.retry(letters).requeued)


def _remove_one(desk: Desk, form: Form) -> Done:
    return _one(desk, form, "removed", desk.broker.dead_letters.remove)


def _one(desk: Desk, form: Form, what: str, act: Callable[[list[Any]], int]) -> Done:
    id_, queue = unquoted(form.get("id", "")), form.get("queue", "")
    letters = desk.broker.dead_letters.find([queue], [id_]).values()
    # Only the failure that was on the page: the message may have been retried and failed again.
    seen = [one for one in letters if f"{one.failed_at:.0f}" == form.get("failed_at", f"{one.failed_at:.0f}")]
    if not seen or not act(seen):
        raise Refused(f"Nothing was {what}: the message has been removed or retried meanwhile.")
    return Done(f"The message was {what}.", id_)


def _cancel(desk: Desk, form: Form) -> Done:
    broker, id_ = desk.broker, unquoted(form.get("id", ""))
    answer = message_control.cancel(broker.client, broker, broker.get_declared_queues(), id_)
    if answer == "removed":
        return Done("The message was removed from its queue.", id_)
    if answer == "interrupted":
        return Done("Its worker interrupts the message within two seconds.", id_)
    raise Refused(_moved("canceled", answer))


def _run(desk: Desk, form: Form) -> Done:
    broker, id_ = desk.broker, unquoted(form.get("id", ""))
    answer = message_control.run_now(broker.client, broker.get_declared_queues(), id_)
    if answer == "next":
        return Done("The message is the next of its queue.", id_)
    if answer == "limited":
        raise Refused("Nothing was done: the message waits for a limit of its actor, which counts for everybody.")
    raise Refused(_moved("run", answer))


def _moved(what: str, state: str) -> str:
    where = {
        "failed": "it has failed meanwhile",
        "handled": "it has ended meanwhile",
        "running": "it is running already",
    }
    return f"Nothing was {what}: {where.get(state, 'no message has this id any more')}."


# --- all that a filter finds -----------------------------------------------------------------------------------------


def _retry_all(desk: Desk, form: Form) -> Done:
    result = Retried()

    def retry(batch: list[Any]) -> None:
        nonlocal result
        result = result.plus(desk.broker.dead_letters.retry(batch))

    wanted, complete = _each_failed(desk, form, retry)
    rest = f" {counted(result.undecodable, 'message')} cannot be decoded and stay." if result.undecodable else ""
    return _many(wanted, "retried", result.requeued, complete, rest)


def _remove_all(desk: Desk, form: Form) -> Done:
    removed = 0

    def remove(batch: list[Any]) -> None:
        nonlocal removed
        removed += desk.broker.dead_letters.remove(batch)

    wanted, complete = _each_failed(desk, form, remove)
    return _many(wanted, "removed", removed, complete)


def _each_failed(desk: Desk, form: Form, act: Callable[[list[Any]], None]) -> tuple[Filter, bool]:
    """Act on the dead letters that a filter finds and that had failed when the page was made."""
    wanted, deadline = filter_of({**form, "state": "failed"}), time.monotonic() + MOST_SECONDS
    for batch in desk.messages.failed_until(wanted, _until(desk, form)):
        act(batch)
        if time.monotonic() > deadline:
            return wanted, False
    return wanted, True


def _until(desk: Desk, form: Form) -> float:
    text = form.get("until", "")
    if not text:
        return desk.broker.dead_letters.now()
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise Refused("The time of the page is invalid: open the page again.", 422)
    return float(text)


def _cancel_all(desk: Desk, form: Form) -> Done:
    wanted, deadline = waiting_filter_of(form), time.monotonic() + MOST_SECONDS
    canceled, complete = 0, True
    for queue, ids in desk.messages.waiting_ids(wanted):
        reason = f"removed from the queue {queue} by an operator"
        removal = Removal(desk.broker.client, desk.broker, queue, partial(Purged, reason))
        aside = [id_ for id_ in ids if removal.one_aside(id_)]
        canceled += sum(removal.finish(aside))
        if time.monotonic() > deadline:
            complete = False
            break
    return _many(wanted, "canceled", canceled, complete)


def _many(wanted: Filter, what: str, count: int, complete: bool, rest: str = "") -> Done:
    if not count:
        raise Refused(f"Nothing was {what}: the messages have moved meanwhile.{rest}")
    again = "" if complete else _MORE
    were = "was" if count == 1 else "were"
    return Done(f"{counted(count, 'message')} {were} {what}.{rest}{again}", described(wanted), count)


# --- queues, workers and schedules -----------------------------------------------------------------------------------


def _pause(desk: Desk, form: Form) -> Done:
    queue = _queue(desk, form)
    if not control.pause(desk.broker.client, queue):
        raise Refused(f"{queue} was already paused.")
    return Done(f"{queue} is paused: running messages finish, new ones are accepted and wait.", queue)


def _resume(desk: Desk, form: Form) -> Done:
    queue = _queue(desk, form)
    if not control.resume(desk.broker.client, queue):
        raise Refused(f"{queue} was not paused.")
    return Done(f"{queue} is resumed.", queue)


def _purge(desk: Desk, form: Form) -> Done:
    queue, removed = _queue(desk, form), 0
    deadline = time.monotonic() + MOST_SECONDS
    again = ""
    for so_far in control.Purge(desk.broker.client, desk.broker, queue).run():
        removed = so_far
        if time.monotonic() > deadline:
            again = _MORE
            break
    if not removed:
        raise Refused(f"Nothing was removed: no message waits in {queue}.")
    sentence = f"{counted(removed, 'message')} of {queue} removed; running and failed ones stay.{again}"
    return Done(sentence, queue, removed)


def _queue(desk: Desk, form: Form) -> str:
    queue = form.get("queue", "")
    if queue not in control.known_queues(desk.broker.client, desk.broker.get_declared_queues()):
        raise Refused(f"There is no queue {queue}.", 404)
    return queue


def _stop_workers(desk: Desk, _form: Form) -> Done:
    running = len(control.workers(desk.broker.client))
    if not running:
        raise Refused("No worker is running.")
    control.ask_to_stop(desk.broker.client)
    asked = f"{counted(running, 'worker')} asked to stop"
    return Done(f"{asked}: they finish their messages, and fresh ones take their place.", "all workers", running)


def _run_schedule(desk: Desk, form: Form) -> Done:
    found = _schedule(desk, form)
    message = found.message
    sent = desk.broker.get_actor(found.actor).send_with_options(args=tuple(message["args"]), kwargs=message["kwargs"])
    return Done(f"Sent {sent.message_id} to {found.queue}.", found.name)


def _pause_schedule(desk: Desk, form: Form) -> Done:
    found = _schedule(desk, form)
    if not ScheduleStore(desk.broker.client).pause(found.name):
        raise Refused(f"{found.name} was already paused.")
    return Done(f"{found.name} is paused: its ticks are skipped and not made up for.", found.name)


def _resume_schedule(desk: Desk, form: Form) -> Done:
    found = _schedule(desk, form)
    if not ScheduleStore(desk.broker.client).resume(found.name):
        raise Refused(f"{found.name} was not paused.")
    return Done(f"{found.name} is resumed, from its next tick on.", found.name)


def _schedule(desk: Desk, form: Form) -> Definition:
    name = form.get("name", "")
    found = desk.schedules().get(name)
    if found is None:
        raise Refused(f"There is no schedule {name}.", 404)
    if found.actor not in desk.broker.actors:
        raise Refused(f"There is no actor {found.actor} here.", 409)
    return found


_GONE = "They are gone then"
ACTIONS: Mapping[str, Action] = {
    "retry": Action(_retry_one),
    "remove": Action(_remove_one, "Remove this failed message? It is gone then, with its arguments and its traceback."),
    "cancel": Action(
        _cancel,
        "Cancel this message? If it waits, it is gone then; if it runs, it is interrupted and kept as a failed one.",
    ),
    "run": Action(_run),
    "retry-all": Action(_retry_all),
    "remove-all": Action(_remove_all, f"Remove {{0}}? {_GONE}, with their arguments and tracebacks."),
    "cancel-all": Action(_cancel_all, f"Cancel {{0}}? {_GONE}, after the on_failed of their actors was called."),
    "pause": Action(_pause),
    "resume": Action(_resume),
    "purge": Action(_purge, f"Remove {{0}}? {_GONE}, after their on_failed was called."),
    "stop-workers": Action(_stop_workers),
    "run-schedule": Action(_run_schedule),
    "pause-schedule": Action(_pause_schedule),
    "resume-schedule": Action(_resume_schedule),
}
