"""The state of the alerts: the receiver is notified once of each raising and clearing, whichever process is killed.

Every step is one change of a record, and the next check continues from the stored state. The receiver is notified after
the record says that this is pending and before it says that it is done, so a death in between repeats a notification
and loses none.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from tandem.monitor.alert_rules import Alert
from tandem.operate.alert_entries import AlertRecord, Store
from tandem.support.times import iso

logger = logging.getLogger(__name__)

#: Sends a sentence with details to the receiver; returns whether it accepted them.
Notify = Callable[[str, Mapping[str, object]], bool]

# Alerts fire immediately and clear after this many consecutive passing checks: a flapping one does not flood the
# receiver.
CHECKS_UNTIL_CLEARED = 2
# An unavailable receiver is retried after the first pause, which then doubles up to the second (seconds).
MIN_PAUSE, MAX_PAUSE = 10.0, 300.0
# A notification that one host has not sent in this time may be sent by any other.
TAKE_OVER_SECONDS = 60.0
# A notification that no host has sent in this time has no receiver.
NO_RECEIVER_SECONDS = 120.0


class AlertManager:
    """The records of one store as `host` sees them, which checks every `interval` seconds.

    shared: other hosts use the same records. notify: None without a receiver. now: the time in seconds since 1970 by
    the clock that all these hosts share.
    """

    def __init__(
        self,
        store: Store,
        *,
        host: str,
        interval: float,
        notify: Notify | None,
        now: Callable[[], float],
        shared: bool = False,
    ) -> None:
        self._store = store
        self._host = host
        self._interval = interval
        self._notify = notify
        self._shared = shared
        self._now = now
        self._misses: Counter[str] = Counter()
        self._delivered: set[tuple[str, float, str]] = set()

    def update(self, evaluated: Mapping[str, Alert | None]) -> None:
        """Raise and clear alerts by the result of alert_rules.evaluate, then send pending notifications.

        An alert that is missing from the result stays unchanged. Raises what the store raises.
        """
        records = self._store.read()
        for name, alert in evaluated.items():
            record = records.get(name)
            if alert:
                self._misses.pop(name, None)
                self._raise(name, alert, record)
            elif record and not record.cleared:
                self._misses[name] += 1
                self._maybe_clear(record)
        self._notify_pending()

    def _raise(self, name: str, alert: Alert, record: AlertRecord | None) -> None:
        now = self._now()
        if record is None:
            new = AlertRecord(
                name, alert.text, alert.value, alert.threshold, since=now, seen=now, changed=now, notifier=self._host
            )
            if self._store.swap(None, new):
                logger.warning("alert %s raised: %s", name, alert.text)
            return
        new = replace(record, text=alert.text, value=alert.value, threshold=alert.threshold, seen=now, cleared=0.0)
        # An alert that is raised again before the receiver was notified of its clearing was never cleared for anyone.
        if self._store.swap(record, new) and record.cleared:
            logger.warning("alert %s raised again: %s", name, alert.text)

    def _maybe_clear(self, record: AlertRecord) -> None:
        now = self._now()
        # The condition may still hold on another host, if its threshold differs.
        active_elsewhere = self._shared and abs(now - record.seen) < self._interval * 1.5
        if self._misses[record.name] < CHECKS_UNTIL_CLEARED or active_elsewhere:
            return
        cleared = replace(record, cleared=now, changed=now, notifier=self._host, tried_at=0.0)
        if self._store.swap(record, cleared):
            logger.info("alert %s cleared after %.0f s: %s", record.name, now - record.since, record.text)
        self._misses.pop(record.name, None)

    def _notify_pending(self) -> None:
        for record in self._store.read().values():
            if record.pending is None:
                continue
            if self._notify is None:
                self._remove_if_cleared(record)
            elif self._may_send(record) and not self._send(record, self._notify):
                return  # the receiver is unavailable: the other notifications have to wait as well

    def _remove_if_cleared(self, record: AlertRecord) -> None:
        wait = NO_RECEIVER_SECONDS if self._shared else 0
        if record.cleared and self._now() - record.changed >= wait:
            self._store.swap(record, None)

    def _may_send(self, record: AlertRecord) -> bool:
        now = self._now()
        pause = min(MAX_PAUSE, max(MIN_PAUSE, record.tried_at - record.changed))
        if now - record.tried_at < pause:
            return False
        return record.notifier == self._host or now - record.changed >= TAKE_OVER_SECONDS

    def _send(self, record: AlertRecord, notify: Notify) -> bool:
        """Send the pending notification; return whether the receiver is available for more."""
        claimed = replace(record, notifier=self._host, tried_at=self._now())
        if not self._store.swap(record, claimed):
            return True  # another host was faster
        state = str(claimed.pending)
        notification = (claimed.name, claimed.since, state)
        if notification not in self._delivered and not notify(*_sentence(claimed, state)):
            return False
        # Remembered until it is stored: if Redis is unavailable now, the next check must not send it again.
        self._delivered.add(notification)
        self._ack(claimed, state)
        self._delivered.discard(notification)
        return True

    def _ack(self, notified: AlertRecord, state: str) -> None:
        """Store that the receiver was notified, however other hosts have changed the record meanwhile."""
        while (record := self._store.read().get(notified.name)) and record.since == notified.since:
            if self._store.swap(record, _after(record, state, self._now())):
                return


def _after(record: AlertRecord, state: str, now: float) -> AlertRecord | None:
    """Return the record after the receiver was notified of `state`, None to remove it."""
    if state == "raised":
        return replace(record, notified=True, changed=record.cleared, tried_at=0.0)
    if record.cleared:
        return None
    # It was raised again while its clearing was sent: the receiver has to be notified again.
    return replace(record, notified=False, changed=now, tried_at=0.0)


def _sentence(record: AlertRecord, state: str) -> tuple[str, dict[str, object]]:
    details: dict[str, object] = {
        "alert": record.name,
        "state": state,
        "since": iso(record.since),
        "value": record.value,
        "threshold": record.threshold,
    }
    if state == "cleared":
        return f"cleared after {record.cleared - record.since:.0f} s: {record.name}: {record.text}", details
    return f"{record.name}: {record.text}", details
