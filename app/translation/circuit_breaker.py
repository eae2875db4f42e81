"""A circuit breaker for each model: tripped while the model is unreachable, loading or busy.

One worker tries the model; all other translations wait for the result of this trial.

tandem:gate:<model>   hash, only while the breaker is tripped; see scripts/circuit_breaker.lua
tandem:ollama:heard   string, exists if any call was answered within the last OLLAMA_TIMEOUT seconds

No state here has to be durable: a lost breaker lets calls through, and the next failed call trips it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import redis

from app.translation.engine.names import full_name

ANSWERED = "tandem:ollama:heard"

# Milliseconds between two trials, doubled from the first to the second value.
MIN_BACKOFF, MAX_BACKOFF = 1000, 15_000
# A worker on trial is considered dead this long after its last heartbeat (ms).
TRIAL_TIMEOUT = 10_000
# Interval between two waiting translations (ms): however many there are, twenty return per second.
SPACING = 50
# How long a breaker stays tripped if no translation asks for it (ms).
EXPIRY = 3_600_000

_SCRIPT = Path(__file__).parent / "scripts" / "circuit_breaker.lua"


@dataclass(frozen=True)
class Decision:
    """The answer to one translation: proceed, try the model for all, or wait `delay` ms because of `reason`."""

    action: Literal["proceed", "try", "wait"]
    delay: int = 0
    reason: str = ""


class CircuitBreaker:
    """The breakers of all models in the Redis of `client`, which has to decode its answers."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._script = client.register_script(_SCRIPT.read_text())

    def allow(self, model: str) -> Decision:
        """Decide whether the model may be called now. Each waiting translation gets a delay of its own."""
        return self._run(model, "allow")

    def trip(self, model: str, reason: str, *, tried: bool = False) -> None:
        """Trip the breaker. tried: after a failed trial, which doubles the pause before the next one."""
        self._run(model, "trip", reason, "1" if tried else "")

    def claim_trial(self, model: str, reason: str) -> Decision:
        """Trip the breaker and let the first caller of a silent model try it immediately; the others wait."""
        return self._run(model, "claim", reason)

    def heartbeat(self, model: str) -> None:
        """Record that the worker on trial is alive."""
        self._run(model, "heartbeat")

    def reset(self, model: str) -> None:
        """Reset the breaker: the model answers."""
        self._redis.delete(_key(model))

    def reason(self, model: str) -> str | None:
        """Return why the breaker is tripped, or None if it is not."""
        return cast("str | None", self._redis.hget(_key(model), "reason"))

    def record_answer(self, *, seconds: float) -> None:
        """Record for `seconds` that some call was answered."""
        self._redis.set(ANSWERED, "1", px=max(1, round(seconds * 1000)))

    def answered_recently(self) -> bool:
        """Return whether some call was answered recently."""
        return bool(self._redis.exists(ANSWERED))

    def _run(self, model: str, command: str, reason: str = "", tried: str = "") -> Decision:
        limits = [MIN_BACKOFF, MAX_BACKOFF, TRIAL_TIMEOUT, SPACING, EXPIRY]
        action, delay, why = self._script(keys=[_key(model)], args=[command, reason, tried, *limits])
        return Decision(action, int(delay), why)


def _key(model: str) -> str:
    return f"tandem:gate:{full_name(model)}"
