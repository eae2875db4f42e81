"""A schedule: which message is sent when, and what happens to ticks that were missed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # the monitor needs no dramatiq
    import dramatiq

#: What happens to ticks that nobody sent in time, because every container was down: none of them is sent, one message
#: for all of them, or one for each of the last ones (ticks.MOST_MISSED).
Missed = Literal["skip", "once", "all"]
MISSED: tuple[Missed, ...] = ("skip", "once", "all")
DAY = timedelta(days=1)
MAX_PAYLOAD = 100_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}")


@dataclass(frozen=True)
class Schedule:
    """Sends a message of `actor` at each tick of a cron expression, or `every` so often since 1970.

    cron: five fields, as `15 3 * * *`, or six with seconds first, in the time zone `timezone`. In the night when clocks
    go forward, a tick that does not exist comes right after the gap; in the one when they go back, a tick that exists
    twice comes once; expressions for every hour or minute go on in real time.
    name: the actor's name, if not given. args, kwargs: the message's, as JSON. overlap: False skips a tick while the
    message of the last one waits or runs. jitter: each message is delayed by up to so much, the same for all
    containers. until: the last tick. window: the message of a tick has to succeed within it, or an alert is raised.
    """

    cron: str = ""
    actor: dramatiq.Actor[..., Any] | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    every: timedelta | None = None
    timezone: str = "UTC"
    missed: Missed = "once"
    overlap: bool = True
    jitter: timedelta = timedelta()
    until: datetime | None = None
    window: timedelta = timedelta(hours=1)

    def problems(self) -> Iterator[str]:
        """Yield what makes the schedule invalid, a sentence each."""
        yield from self._problems_of_time()
        if not _NAME.fullmatch(self.label):
            yield f"name={self.label!r}: expected up to 100 letters, digits and ._:-"
        yield from self._problems_of_message()
        if self.missed not in MISSED:
            yield f"missed={self.missed!r}: expected skip, once or all"
        for name in ("jitter", "window"):
            value = getattr(self, name)
            if not isinstance(value, timedelta) or not timedelta() <= value <= 366 * DAY:
                yield f"{name}={value!r}: expected a timedelta from 0 to a year"
        if self.until is not None and (not isinstance(self.until, datetime) or self.until.tzinfo is None):
            yield f"until={self.until!r}: expected a datetime with a time zone"

    def _problems_of_message(self) -> Iterator[str]:
        if self.actor is None:
            yield "no actor: expected the function that was decorated with @dramatiq.actor"
            return
        from tandem.operate import arguments  # needs pydantic, which the monitor does without

        try:
            arguments.check(self.actor.fn, list(self.args), dict(self.kwargs))
            self.definition()
        except (arguments.InvalidArguments, ValueError) as error:
            yield f"args={list(self.args)!r:.200}, kwargs={dict(self.kwargs)!r:.200}: {error}"

    def _problems_of_time(self) -> Iterator[str]:
        if bool(self.cron) == (self.every is not None):
            yield "expected either a cron expression or every=timedelta(…)"
        elif self.every is not None:
            if not isinstance(self.every, timedelta) or not timedelta(seconds=1) <= self.every <= 366 * DAY:
                yield f"every={self.every!r}: expected a timedelta from a second to a year"
        else:
            from tandem.schedules import ticks

            yield from ticks.problems(self.cron, self.timezone)

    @property
    def label(self) -> str:
        """Its name."""
        return self.name or (self.actor.actor_name if self.actor else "")

    def definition(self) -> Definition:
        """Return the form that is stored. Raises ValueError for arguments that are not JSON or too large."""
        if self.actor is None:
            raise ValueError("it has no actor")
        message = self.actor.message_with_options(args=tuple(self.args), kwargs=dict(self.kwargs))
        content = {
            "queue_name": message.queue_name,
            "actor_name": message.actor_name,
            "args": list(message.args),
            "kwargs": message.kwargs,
            "options": message.options,
        }
        try:
            size = len(json.dumps(content))
        except (TypeError, ValueError) as error:
            raise ValueError(f"its arguments are not JSON: {error}") from error
        if size > MAX_PAYLOAD:
            raise ValueError(f"its message has {size:,} bytes: expected at most {MAX_PAYLOAD:,}")
        return Definition(
            name=self.label,
            message=content,
            cron=self.cron,
            every=_seconds(self.every),
            timezone=self.timezone,
            missed=self.missed,
            overlap=self.overlap,
            jitter=_seconds(self.jitter),
            until=self.until.timestamp() if isinstance(self.until, datetime) else None,
            window=_seconds(self.window),
        )


def _seconds(value: object) -> float:
    """Return the seconds of a timedelta; 0 for what is none, which `problems` reports."""
    return value.total_seconds() if isinstance(value, timedelta) else 0


@dataclass(frozen=True)
class Definition:
    """A schedule as it is stored: plain values, times in seconds."""

    name: str
    message: dict[str, Any]
    cron: str = ""
    every: float = 0
    timezone: str = "UTC"
    missed: Missed = "once"
    overlap: bool = True
    jitter: float = 0
    until: float | None = None
    window: float = 3600

    @property
    def queue(self) -> str:
        """The queue of its messages."""
        return str(self.message["queue_name"])

    @property
    def actor(self) -> str:
        """The name of the actor of its messages."""
        return str(self.message["actor_name"])
