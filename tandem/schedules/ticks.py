"""The ticks of a schedule: when it is due. Times are seconds since 1970."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from tandem.schedules.schedule import Definition

#: A tick that is sent later than this was missed (seconds).
GRACE = 60.0
#: Of missed ticks that are all sent, the last ones.
MOST_MISSED = 100
# Ticks before that are not even counted, so that a long pause costs no time (seconds).
_FURTHEST_BACK = 7 * 86_400
_MOST_COUNTED = 20_000


def problems(cron: str, timezone: str) -> Iterator[str]:
    """Yield what is wrong with an expression and its time zone."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"timezone={timezone!r}: expected a name such as Europe/Berlin"
        return
    try:
        next(CronSim(cron, datetime.now(zone)))
    except CronSimError as error:
        yield f"{cron!r}: {error}; expected five fields, as 15 3 * * *"
    except StopIteration:
        yield f"{cron!r} never fires: expected a day that exists"


def after(definition: Definition, moment: float) -> Iterator[int]:
    """Yield the ticks after a moment, until the schedule's end."""
    ticks = _every(definition.every, moment) if definition.every else _cron(definition, moment)
    last = math.inf if definition.until is None else definition.until
    return takewhile(lambda tick: tick <= last, ticks)


def due(definition: Definition, last: float, now: float) -> list[int]:
    """Return the ticks to send now, of those after `last`: what was missed counts as the schedule says."""
    newest: deque[int] = deque(maxlen=MOST_MISSED)
    for count, tick in enumerate(after(definition, max(last, now - _FURTHEST_BACK))):
        if tick > now:
            break
        if count == _MOST_COUNTED:
            return due(definition, now - GRACE, now)
        newest.append(tick)
    if not newest:
        return []
    if definition.missed == "all":
        return list(newest)
    in_time = [tick for tick in newest if now - tick <= GRACE]
    if len(in_time) == len(newest) or definition.missed == "skip":
        return in_time
    # One for all that were missed, unless one that was not does that.
    return in_time or [newest[-1]]


def explained(definition: Definition) -> str:
    """Return in words when it is due."""
    if definition.every:
        return f"every {_duration(definition.every)}"
    sentence = CronSim(definition.cron, datetime.now(UTC)).explain()
    return f"{sentence[:1].lower()}{sentence[1:]} {definition.timezone}"


def _every(seconds: float, moment: float) -> Iterator[int]:
    number = math.floor(moment / seconds) + 1
    while True:
        yield math.floor(number * seconds)
        number += 1


def _cron(definition: Definition, moment: float) -> Iterator[int]:
    zone = ZoneInfo(definition.timezone)
    for tick in CronSim(definition.cron, datetime.fromtimestamp(moment, zone)):
        yield int(tick.timestamp())


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit and seconds % unit == 0:
            count = round(seconds / unit)
            return name if count == 1 else f"{count} {name}s"
    return "second" if seconds == 1 else f"{seconds:g} seconds"
