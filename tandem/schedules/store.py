"""Schedules in Redis: the state of each, and those that were added at run time.

tandem:schedule:<name>       hash: tick (the last one that was sent or skipped), sent (the last one that was sent),
                             queue_id (of its message), paused, overlaps (ticks skipped), succeeded (the last tick whose
                             message did), succeeded_at and failed_at (seconds since 1970), took (seconds), error
tandem:schedules             hash: name -> JSON of a schedule that was added at run time
tandem:schedules:version     counter: changes of that hash
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast
from uuid import NAMESPACE_URL, uuid5

import redis

from tandem.broker.clock import Clock
from tandem.broker.outbox import ENQUEUE, enqueue_arguments, enqueue_keys
from tandem.schedules.schedule import Definition
from tandem.support.times import iso

ADDED, VERSION = "tandem:schedules", "tandem:schedules:version"
MAX_ADDED = 10_000
_SEND = ENQUEUE + (Path(__file__).parent / "lua" / "send_tick.lua").read_text()


class TooManySchedules(Exception):
    """The schedules that were added at run time have reached their limit."""


def state_key(name: str) -> str:
    """Return the key of a schedule's state."""
    return f"tandem:schedule:{name}"


class ScheduleStore:
    """The schedules of one Redis. `client` does not decode its answers. All methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._clock = Clock(client)
        self._send = client.register_script(_SEND)

    def now(self) -> float:
        """Return the seconds since 1970 by the clock of Redis, which all containers share."""
        return self._clock.now() / 1000

    # --- those added at run time -----------------------------------------------------------------------------------

    def version(self) -> int:
        """Return a number that grows when a schedule is added or removed."""
        return int(cast("bytes | None", self._redis.get(VERSION)) or 0)

    def added(self) -> list[Definition]:
        """Return the schedules that were added at run time."""
        texts = cast("dict[bytes, bytes]", self._redis.hgetall(ADDED))
        return [Definition(**json.loads(text)) for text in texts.values()]

    def add(self, definition: Definition) -> None:
        """Add a schedule, or replace the one with its name. Raises TooManySchedules."""
        if self._redis.hlen(ADDED) >= MAX_ADDED and not self._redis.hexists(ADDED, definition.name):
            raise TooManySchedules(f"{MAX_ADDED:,} schedules were added: remove one first")
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(ADDED, definition.name, json.dumps(asdict(definition)))
            pipe.incr(VERSION)
            pipe.execute()

    def remove(self, name: str) -> bool:
        """Remove a schedule and its state; return whether there was one. Its messages stay."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(ADDED, name)
            pipe.delete(state_key(name))
            pipe.incr(VERSION)
            return bool(pipe.execute()[0])

    # --- state -----------------------------------------------------------------------------------------------------

    def states(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return the state of each schedule; an empty one before its first tick."""
        names = list(names)
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(state_key(name))
            found = pipe.execute()
        return {
            name: {key.decode(): value.decode() for key, value in state.items()}
            for name, state in zip(names, found, strict=True)
        }

    def begin(self, name: str, now: float) -> float:
        """Return the last tick of a schedule; one that is new has none before `now`."""
        self._redis.hsetnx(state_key(name), "tick", str(now))
        return float(cast(bytes, self._redis.hget(state_key(name), "tick")))

    def pause(self, name: str) -> bool:
        """Skip all ticks until `resume`; return False if it was paused already."""
        return bool(self._redis.hset(state_key(name), "paused", "1"))

    def resume(self, name: str) -> bool:
        """Send ticks again, from the next one on; return False if it was not paused."""
        return bool(self._redis.hdel(state_key(name), "paused"))

    # --- sending ---------------------------------------------------------------------------------------------------

    def send(self, definition: Definition, tick: int) -> str:
        """Send the message of a tick, once whoever asks; return 'sent', 'done', 'paused' or 'overlap'."""
        id_ = str(uuid5(NAMESPACE_URL, f"tandem:schedule:{definition.name}:{tick}"))
        delay = round(_jitter(definition, tick) * 1000)
        payload = self._payload(definition, id_, tick, delay)
        arguments = enqueue_arguments(definition.queue, id_, payload, delay or None)
        answer = self._send(
            [state_key(definition.name), *enqueue_keys(definition.queue)],
            [tick, int(definition.overlap), *arguments],
        )
        return cast(bytes, answer).decode()

    def _payload(self, definition: Definition, id_: str, tick: int, delay: int) -> bytes:
        now = self._clock.now()
        options: dict[str, Any] = {
            **definition.message["options"],
            "schedule": definition.name,
            "scheduled_at": tick,
        }
        if delay:
            options["eta"] = now + delay
        content = definition.message | {"options": options, "message_id": id_, "message_timestamp": now}
        # As dramatiq's JSONEncoder, without which a schedule is refused.
        return json.dumps(content, separators=(",", ":")).encode()

    # --- outcomes --------------------------------------------------------------------------------------------------

    def note_success(self, name: str, tick: int, took: float) -> None:
        """Note that the message of a tick succeeded."""
        fields = {"succeeded": tick, "succeeded_at": f"{self.now():.3f}", "took": f"{took:.3f}"}
        self._note(name, fields)

    def note_failure(self, name: str, error: str) -> None:
        """Note that the message of a tick became a dead letter."""
        self._note(name, {"failed_at": f"{self.now():.3f}", "error": error[:500]})

    def _note(self, name: str, fields: Mapping[str, Any]) -> None:
        # The state of a schedule that was removed meanwhile must not come back.
        if self._redis.exists(state_key(name)):
            self._redis.hset(state_key(name), mapping=cast(Any, fields))


def _jitter(definition: Definition, tick: int) -> float:
    """Return the delay of a tick's message in seconds: random, but the same in every container."""
    digest = hashlib.sha256(f"{definition.name}:{tick}".encode()).digest()
    return definition.jitter * int.from_bytes(digest[:4], "big") / 2**32


def overdue(definitions: Iterable[Definition], states: Mapping[str, dict[str, str]], now: float) -> dict[str, str]:
    """Return the schedules whose last message did not succeed in its window, with the reason."""
    found = {}
    for definition in definitions:
        state = states.get(definition.name) or {}
        sent = float(state.get("sent", 0))
        if "paused" in state or not sent or now - sent <= definition.window + definition.jitter:
            continue
        if float(state.get("succeeded", 0)) < sent:
            since = f"since {iso(float(state['succeeded_at']))}" if "succeeded_at" in state else "so far"
            reason = f": {state['error']}" if "error" in state else ""
            found[definition.name] = f"has not succeeded {since}{reason}"
    return found
