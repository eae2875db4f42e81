"""Which alerts are raised: each is told once when it begins and once when it is over, whoever is killed in between.

Every step is one change of an entry, and the next look goes on from whatever was stored. The receiver is told after
the entry says that it has to be and before it says that it was, so a death in between repeats a call and loses none.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from app.operations.alarms import Alarm
from app.operations.entries import Entry, Store, iso

logger = logging.getLogger(__name__)

#: Tells the receiver a sentence with its details; whether it took it.
Tell = Callable[[str, Mapping[str, object]], bool]

# An alarm that did not hold in so many looks in a row is over: one that comes and goes makes no storm.
LOOKS_UNTIL_CLEARED = 2
# A receiver that is away is asked again after so long, and then after twice as long each time.
SHORTEST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
# What a host did not tell in this time is told by any other one.
TAKE_OVER_SECONDS = 60.0
# What nobody told in this time has no receiver.
NOBODY_TELLS_SECONDS = 120.0


class Board:
    """The entries of one store, seen from the host `me`, which looks every `interval` seconds.

    shared: others look at the same entries. tell: None without a receiver.
    """

    def __init__(self, store: Store, *, me: str, interval: float, tell: Tell | None, shared: bool = False) -> None:
        self._store = store
        self._me = me
        self._interval = interval
        self._tell = tell
        self._shared = shared
        self._misses: Counter[str] = Counter()
        self._delivered: set[tuple[str, float, str]] = set()

    def look(self, verdicts: Mapping[str, Alarm | None]) -> None:
        """Raises and clears by what one look saw (see alarms.judge), then tells what there is to tell.

        An alert that is not among the verdicts stays as it is. Raises what the store raises.
        """
        entries = self._store.read()
        for name, alarm in verdicts.items():
            entry = entries.get(name)
            if alarm:
                self._misses.pop(name, None)
                self._holds(name, alarm, entry)
            elif entry and not entry.cleared:
                self._misses[name] += 1
                self._maybe_clear(entry)
        self._tell_news()

    def _holds(self, name: str, alarm: Alarm, entry: Entry | None) -> None:
        now = time.time()
        if entry is None:
            new = Entry(
                name, alarm.text, alarm.value, alarm.threshold, since=now, seen=now, changed=now, teller=self._me
            )
            if self._store.swap(None, new):
                logger.warning("alert %s raised: %s", name, alarm.text)
            return
        new = replace(entry, text=alarm.text, value=alarm.value, threshold=alarm.threshold, seen=now, cleared=0.0)
        # One that is back before the receiver heard of its end has not been over for anyone.
        if self._store.swap(entry, new) and entry.cleared:
            logger.warning("alert %s raised again: %s", name, alarm.text)

    def _maybe_clear(self, entry: Entry) -> None:
        now = time.time()
        # Another host may still see it, if its threshold is another one.
        held_elsewhere = self._shared and abs(now - entry.seen) < self._interval * 1.5
        if self._misses[entry.name] < LOOKS_UNTIL_CLEARED or held_elsewhere:
            return
        over = replace(entry, cleared=now, changed=now, teller=self._me, tried=0.0)
        if self._store.swap(entry, over):
            logger.info("alert %s cleared after %.0f s: %s", entry.name, now - entry.since, entry.text)
        self._misses.pop(entry.name, None)

    def _tell_news(self) -> None:
        for entry in self._store.read().values():
            if entry.news is None:
                continue
            if self._tell is None:
                self._forget_if_nobody_tells(entry)
            elif self._is_mine_to_tell(entry) and not self._tell_one(entry, self._tell):
                return  # the receiver is away: the others have to wait as well

    def _forget_if_nobody_tells(self, entry: Entry) -> None:
        patience = NOBODY_TELLS_SECONDS if self._shared else 0
        if entry.cleared and time.time() - entry.changed >= patience:
            self._store.swap(entry, None)

    def _is_mine_to_tell(self, entry: Entry) -> bool:
        now = time.time()
        pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, entry.tried - entry.changed))
        if now - entry.tried < pause:
            return False
        return entry.teller == self._me or now - entry.changed >= TAKE_OVER_SECONDS

    def _tell_one(self, entry: Entry, tell: Tell) -> bool:
        """Whether the receiver can be told more."""
        claimed = replace(entry, teller=self._me, tried=time.time())
        if not self._store.swap(entry, claimed):
            return True  # somebody was quicker
        news = str(claimed.news)
        call = (claimed.name, claimed.since, news)
        if call not in self._delivered and not tell(*_sentence(claimed, news)):
            return False
        # Remembered until it is stored: with Redis away right now, the next look must not tell it again.
        self._delivered.add(call)
        self._settle(claimed, news)
        self._delivered.discard(call)
        return True

    def _settle(self, told: Entry, news: str) -> None:
        """Stores that the receiver knows, whatever others have made of the entry meanwhile."""
        while (entry := self._store.read().get(told.name)) and entry.since == told.since:
            if self._store.swap(entry, _after(entry, news)):
                return


def _after(entry: Entry, news: str) -> Entry | None:
    """What the entry is when the receiver has taken this."""
    if news == "raised":
        return replace(entry, told=True, changed=entry.cleared, tried=0.0)
    if entry.cleared:
        return None
    # It came back while its end was told: the receiver has to hear of it once more.
    return replace(entry, told=False, changed=time.time(), tried=0.0)


def _sentence(entry: Entry, news: str) -> tuple[str, dict[str, object]]:
    details: dict[str, object] = {
        "alert": entry.name,
        "state": news,
        "since": iso(entry.since),
        "value": entry.value,
        "threshold": entry.threshold,
    }
    if news == "cleared":
        return f"cleared after {entry.cleared - entry.since:.0f} s: {entry.name}: {entry.text}", details
    return f"{entry.name}: {entry.text}", details
