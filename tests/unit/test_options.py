"""Options of actors that contradict each other or their function."""

from __future__ import annotations

from typing import Any

import dramatiq
from fakeredis import FakeRedis

from tandem.registry import options
from tests.unit.harness import broker_on


def test_an_async_actor_cannot_have_its_effect_once(redis_: FakeRedis) -> None:
    broker = broker_on(redis_)

    @dramatiq.actor(broker=broker, once=True)
    async def work(*_: Any, **__: Any) -> Any: ...

    assert [
        line for line in options.problems(work, broker) if line.startswith("once, which an async actor cannot have")
    ]
