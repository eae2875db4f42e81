"""The hub of event streams: which subscriber gets which events, and when it is removed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis
from fakeredis import FakeRedis, FakeServer

from tandem.sse import wire
from tandem.sse.hub import Hub
from tandem.sse.subscriber import MAX_INPUT, Subscriber
from tandem.sse.topic import Event, Topic
from tests.unit.harness import eventually


class Records:
    """Records of a workload of the test's own."""

    def __init__(self, server: FakeServer) -> None:
        self._redis: Any = FakeRedis(server=server)
        self._events: dict[str, Event] = {}
        self.reads: list[list[str]] = []
        self.broken: Exception | None = None
        self.topic = Topic(channel=lambda id: f"{id}:changes", read=self._read)

    def put(self, id: str, version: int, data: str = "{}", *, last: bool = False) -> None:
        self._events[id] = Event(version, "end" if last else "progress", data, last)

    def change(self, id: str, version: int, data: str = "{}", *, last: bool = False) -> None:
        self.put(id, version, data, last=last)
        self._redis.publish(f"{id}:changes", version)

    def forget(self, id: str) -> None:
        del self._events[id]
        self._redis.publish(f"{id}:changes", 0)

    def _read(self, ids: Sequence[str]) -> list[Event | None]:
        self.reads.append(list(ids))
        if self.broken:
            raise self.broken
        return [self._events.get(id) for id in ids]


class Client:
    """The other end of a reader's connection."""

    def __init__(self, hub: Hub, topic: Topic, id: str, seen: int = 0, *, chunked: bool = False) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(5)
        hub.accept(Subscriber(theirs, topic, id, seen, chunked=chunked))

    def hears(self, text: bytes) -> bool:
        """Reads until it has this many bytes."""
        heard = b""
        while len(heard) < len(text) and (data := self.socket.recv(len(text) - len(heard))):
            heard += data
        assert heard == text
        return True

    @property
    def ended(self) -> bool:
        return self.socket.recv(1) == b""


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def records(server: FakeServer) -> Records:
    return Records(server)


@pytest.fixture
def start(server: FakeServer) -> Iterator[Callable[..., Hub]]:
    hubs: list[Hub] = []

    def start(limit: int = 100, heartbeat: float = 60) -> Hub:
        hubs.append(Hub(lambda: FakeRedis(server=server, decode_responses=True), limit=limit, heartbeat=heartbeat))
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.close()


@pytest.fixture
def hub(start: Callable[..., Hub]) -> Hub:
    return start()


def frame(version: int, name: str = "progress", data: str = "{}") -> bytes:
    return f"id: {version}\nevent: {name}\ndata: {data}\n\n".encode()


def test_a_change_is_sent_to_the_subscribers_of_the_record_only(hub: Hub, records: Records) -> None:
    records.put("a", 1)
    records.put("b", 1)
    subscribers = [Client(hub, records.topic, "a", seen=1) for _ in range(3)]
    other = Client(hub, records.topic, "b", seen=1)
    eventually(lambda: records.reads)

    records.change("a", 2, '{"done":2}')
    records.change("b", 7)

    assert all(subscriber.hears(frame(2, data='{"done":2}')) for subscriber in subscribers)
    assert other.hears(frame(7))


def test_a_change_between_the_reads_of_view_and_hub_is_sent(hub: Hub, records: Records) -> None:
    records.put("a", 2)
    assert Client(hub, records.topic, "a", seen=1).hears(frame(2))


def test_an_event_that_the_client_has_is_not_sent_again(start: Callable[..., Hub], records: Records) -> None:
    records.put("a", 1)
    subscriber = Client(start(heartbeat=0.05), records.topic, "a", seen=1)

    assert subscriber.hears(wire.HEARTBEAT * 3)


def test_the_connection_ends_after_the_last_event(hub: Hub, records: Records) -> None:
    records.put("a", 1)
    plain, chunked = (Client(hub, records.topic, "a", seen=1, chunked=chunked) for chunked in (False, True))

    records.change("a", 2, last=True)

    assert plain.hears(frame(2, "end"))
    assert plain.ended
    assert chunked.hears(wire.chunk(frame(2, "end")) + b"0\r\n\r\n")
    assert chunked.ended
    eventually(lambda: len(hub) == 0)


def test_who_has_seen_the_last_event_meanwhile_is_let_go(hub: Hub, records: Records) -> None:
    records.put("a", 2, last=True)
    assert Client(hub, records.topic, "a", seen=2).ended


def test_a_record_that_is_gone_ends_its_streams(hub: Hub, records: Records) -> None:
    records.put("a", 1)
    subscriber = Client(hub, records.topic, "a", seen=1)
    eventually(lambda: records.reads)

    records.forget("a")

    assert subscriber.ended


def test_a_change_that_pub_sub_lost_is_sent_with_the_next_heartbeat(
    start: Callable[..., Hub], records: Records
) -> None:
    records.put("a", 1)
    subscriber = Client(start(heartbeat=0.3), records.topic, "a", seen=1)
    eventually(lambda: records.reads)

    records.put("a", 2)

    assert subscriber.hears(wire.HEARTBEAT + frame(2))


def test_a_subscriber_that_disconnects_is_removed_at_once(hub: Hub, records: Records) -> None:
    records.put("a", 1)
    subscriber = Client(hub, records.topic, "a", seen=1)
    eventually(lambda: records.reads)

    subscriber.socket.close()

    eventually(lambda: len(hub) == 0)


def test_a_subscriber_that_never_reads_is_dropped_and_delays_no_other(hub: Hub, records: Records) -> None:
    records.put("a", 0)
    deaf = Client(hub, records.topic, "a")
    other = Client(hub, records.topic, "a")
    data = '"' + 20_000 * "x" + '"'
    version = 0
    while len(hub) == 2:
        version += 1
        records.change("a", version, data)
        assert other.hears(frame(version, data=data))
        assert version < 100
    records.change("a", version + 1, last=True)

    assert other.hears(frame(version + 1, "end"))
    received = b""
    while part := deaf.socket.recv(65_536):
        received += part
    # Of the last one a part.
    assert len(frame(1, data=data)) < len(received) < (version + 1) * len(frame(1, data=data))


def test_input_of_a_subscriber_is_discarded_up_to_a_limit(hub: Hub, records: Records) -> None:
    records.put("a", 1)
    subscriber = Client(hub, records.topic, "a", seen=1)
    subscriber.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    records.change("a", 2)
    assert subscriber.hears(frame(2))

    with pytest.raises(BrokenPipeError):
        while True:
            subscriber.socket.sendall(bytes(MAX_INPUT))


def test_subscribers_over_the_limit_are_ended_at_once(start: Callable[..., Hub], records: Records) -> None:
    hub = start(limit=2)
    records.put("a", 1)
    kept = [Client(hub, records.topic, "a", seen=1) for _ in range(2)]
    assert hub.full

    assert Client(hub, records.topic, "a", seen=1).ended
    records.change("a", 2)
    assert all(subscriber.hears(frame(2)) for subscriber in kept)

    kept[0].socket.close()
    eventually(lambda: not hub.full)


def test_subscribers_stay_during_an_outage_of_redis_and_get_the_changes_afterwards(
    start: Callable[..., Hub], records: Records, server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tandem.sse")
    records.put("a", 1)
    subscriber = Client(start(heartbeat=0.2), records.topic, "a", seen=1)
    eventually(lambda: records.reads)

    records.broken = redis.ConnectionError("gone")
    server.connected = False
    assert subscriber.hears(wire.HEARTBEAT * 3)
    records.put("a", 2)
    records.broken = None
    server.connected = True

    eventually(lambda: "Redis is available again" in caplog.text)
    heard = b""
    while frame(2) not in heard:
        heard += subscriber.socket.recv(1000)
    assert heard.replace(wire.HEARTBEAT, b"") == frame(2)
    assert caplog.text.count("wait for Redis") == 1


def test_a_bug_in_a_workload_closes_the_streams_but_not_the_hub(
    hub: Hub, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    records.broken = ValueError("a mistake")
    assert Client(hub, records.topic, "a").ended
    assert "a mistake" in caplog.text

    records.broken = None
    records.put("a", 1)
    assert Client(hub, records.topic, "a", seen=0).hears(frame(1))


def test_changes_in_quick_succession_are_looked_at_together(hub: Hub, records: Records) -> None:
    records.put("a", 0)
    subscriber = Client(hub, records.topic, "a")
    for version in range(1, 501):
        records.change("a", version, last=version == 500)

    heard = b""
    while data := subscriber.socket.recv(65_536):
        heard += data

    assert heard.endswith(frame(500, "end"))
    assert len(records.reads) < 50


def test_one_thread_serves_all_subscribers_and_starts_with_the_first(
    start: Callable[..., Hub], records: Records
) -> None:
    before = threading.active_count()
    hub = start()
    assert threading.active_count() == before

    records.put("a", 1)
    subscribers = [Client(hub, records.topic, "a") for _ in range(50)]

    assert all(subscriber.hears(frame(1)) for subscriber in subscribers)
    assert threading.active_count() == before + 1
    hub.close()
    assert threading.active_count() == before
    assert all(subscriber.ended for subscriber in subscribers)
    assert Client(hub, records.topic, "a").ended


@pytest.mark.parametrize(
    ("header", "seen"),
    [
        ("3", 3),
        ("0", 0),
        ("9", None),
        (None, None),
        ("", None),
        ("-1", None),
        ("٣", None),
        ("x", None),
        ("1" * 99, None),
    ],
)
def test_a_last_event_id_that_cannot_be_counts_as_none(header: str | None, seen: int | None) -> None:
    assert wire.last_seen(header, newest=5) == seen
