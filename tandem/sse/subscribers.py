"""All subscribers of the hub, by the channels of their records."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Iterator, KeysView

from tandem.sse import wire
from tandem.sse.subscriber import Subscriber
from tandem.sse.topic import Event, Topic


class Subscribers:
    """The connected subscribers; the selector reports when one of them disconnects."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._by_channel: dict[str, set[Subscriber]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Subscriber]:
        return iter([subscriber for subscribers in self._by_channel.values() for subscriber in subscribers])

    @property
    def channels(self) -> KeysView[str]:
        """The channels of all watched records."""
        return self._by_channel.keys()

    def add(self, subscriber: Subscriber) -> None:
        """Add a subscriber."""
        self._selector.register(subscriber, selectors.EVENT_READ)
        self._by_channel.setdefault(subscriber.channel, set()).add(subscriber)
        self._count += 1

    def remove(self, subscriber: Subscriber, how: Callable[[Subscriber], None] = Subscriber.close) -> None:
        """Remove and close a subscriber."""
        self._selector.unregister(subscriber)
        subscribers = self._by_channel[subscriber.channel]
        subscribers.remove(subscriber)
        if not subscribers:
            del self._by_channel[subscriber.channel]
        self._count -= 1
        how(subscriber)

    def close(self, how: Callable[[Subscriber], None]) -> None:
        """Remove and close all subscribers."""
        for subscriber in self:
            self.remove(subscriber, how)

    def beat(self) -> None:
        """Send a comment to every subscriber, and remove those that have disconnected."""
        for subscriber in self:
            if not subscriber.send(wire.HEARTBEAT):
                self.remove(subscriber)

    def send_events(self, channels: set[str]) -> None:
        """Read the records of these channels and send their events. Raises redis.RedisError."""
        records: dict[Topic, dict[str, str]] = {}
        for channel in channels & self.channels:
            watched = next(iter(self._by_channel[channel]))
            records.setdefault(watched.topic, {})[watched.id] = channel
        for topic, channel_of in records.items():
            for channel, event in zip(channel_of.values(), topic.read(list(channel_of)), strict=True):
                self._send(channel, event)

    def _send(self, channel: str, event: Event | None) -> None:
        data = wire.frame(event) if event else b""
        for subscriber in list(self._by_channel[channel]):
            if event and subscriber.seen != event.version:
                subscriber.seen = event.version
                if not subscriber.send(data):
                    self.remove(subscriber)
                    continue
            if event is None or event.last:
                self.remove(subscriber, Subscriber.end)
