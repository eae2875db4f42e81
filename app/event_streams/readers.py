"""All readers that the hub holds, by the channels of their records."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Iterator, KeysView

from app.event_streams import wire
from app.event_streams.feed import Event, Feed
from app.event_streams.reader import Reader


class Readers:
    """Those who are there; the selector hears when one of them leaves."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._by_channel: dict[str, set[Reader]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Reader]:
        return iter([reader for readers in self._by_channel.values() for reader in readers])

    @property
    def channels(self) -> KeysView[str]:
        """The channels of all records that somebody watches."""
        return self._by_channel.keys()

    def add(self, reader: Reader) -> None:
        """Takes one more."""
        self._selector.register(reader, selectors.EVENT_READ)
        self._by_channel.setdefault(reader.channel, set()).add(reader)
        self._count += 1

    def leave(self, reader: Reader, how: Callable[[Reader], None] = Reader.close) -> None:
        """Lets one go."""
        self._selector.unregister(reader)
        readers = self._by_channel[reader.channel]
        readers.remove(reader)
        if not readers:
            del self._by_channel[reader.channel]
        self._count -= 1
        how(reader)

    def part(self, how: Callable[[Reader], None]) -> None:
        """Lets all go."""
        for reader in self:
            self.leave(reader, how)

    def beat(self) -> None:
        """Sends everybody a comment, which those who are gone cannot take."""
        for reader in self:
            if not reader.send(wire.HEARTBEAT):
                self.leave(reader)

    def look(self, channels: set[str]) -> None:
        """Reads the records of these channels and tells their readers. Raises redis.RedisError."""
        records: dict[Feed, dict[str, str]] = {}
        for channel in channels & self.channels:
            watched = next(iter(self._by_channel[channel]))
            records.setdefault(watched.feed, {})[watched.id] = channel
        for feed, channel_of in records.items():
            for channel, event in zip(channel_of.values(), feed.read(list(channel_of)), strict=True):
                self._tell(channel, event)

    def _tell(self, channel: str, event: Event | None) -> None:
        data = wire.frame(event) if event else b""
        for reader in list(self._by_channel[channel]):
            if event and reader.seen != event.version:
                reader.seen = event.version
                if not reader.send(data):
                    self.leave(reader)
                    continue
            if event is None or event.last:
                self.leave(reader, Reader.end)
