"""The start of a worker process."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from fakeredis import FakeRedis

from tandem.worker import main
from tandem.worker.main import Stop
from tests.unit.harness import broker_on, send, waiting


def test_a_full_redis_does_not_keep_a_worker_away(redis_: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = broker_on(redis_)
    send(broker, "a")
    broker.declare_queue("default")
    broker.store.claim_batch(("default",), 1)

    def refuse(*_arguments: Any) -> None:
        raise redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")

    monkeypatch.setattr(redis_, "sadd", refuse)

    assert main._prepare(broker, Stop(), ("default",)) == ([], None)
    assert waiting(redis_) == ["a"]
