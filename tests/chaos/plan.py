"""The plan of a run: what it sends and kills, in which order, drawn from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

MESSAGES = {
    "mark": 40,
    "late": 5,
    "rest": 18,
    "flaky": 16,
    "always_fails": 4,
    "note": 5,
    "bounded": 4,
    "single": 4,
    "rated": 4,
}
#: How many messages of a key run at the same time, and how many of `rated` start in a second, as the actors have it.
LIMITS = {"bounded": 2, "single": 1}
RATE = 20
KEYS = "abcde"

KILLS = {
    "worker": 24,
    "all workers": 8,
    "web": 5,
    "web worker": 8,
    "redis": 14,
    "monitor": 5,
    "eventlistener": 5,
    "supervisord": 6,
    "container": 6,
    "pause": 5,
    "restart": 4,
    "SIGTERM": 4,
    "stop": 3,
}
#: Only with the embedded Redis, whose volume can be filled, damaged and shared.
KILLS_EMBEDDED = {"full disk": 3, "damaged AOF": 4, "second container": 3}
#: Only with an external Redis that two containers share.
KILLS_EXTERNAL = {"redis pause": 4, "gone": 4}

MAX_BATCH_SIZE = 20


@dataclass(frozen=True)
class Message:
    """One message. runs: how many times it runs without any kill. arguments: those after its id."""

    id: str
    kind: str
    actor: str
    runs: int = 1
    arguments: tuple[Any, ...] = ()
    delay: int | None = None


@dataclass(frozen=True)
class Kill:
    """A fault to inject after `wait` seconds. choice: selects the container or process."""

    kind: str
    wait: float
    seconds: float
    choice: int


@dataclass(frozen=True)
class Step:
    """A kill and the requests sent shortly before it: each a batch of messages, or one note."""

    kill: Kill
    requests: list[list[Message]] = field(default_factory=list)


def draw(
    seed: int, *, messages: int, kills: int, external: bool = False, kinds: dict[str, int] = MESSAGES
) -> list[Step]:
    """Draw the plan of a whole run. kinds: weights of the kinds of messages."""
    # Not a secret: the same seed has to produce the same run.
    rng = random.Random(seed)  # noqa: S311
    all_messages = [_message(rng, number, kinds) for number in range(messages)]
    steps = [Step(_kill(rng, external)) for _ in range(kills)]
    for number, step in enumerate(steps):
        first, last = (messages * edge // kills for edge in (number, number + 1))
        step.requests.extend(_requests(rng, all_messages[first:last]))
    return steps


def _pick(rng: random.Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _message(rng: random.Random, number: int, kinds: dict[str, int]) -> Message:
    kind = _pick(rng, kinds)
    id_ = f"{kind}-{number:06}"
    if kind == "late":
        return Message(id_, kind, "mark", delay=rng.randint(100, 3000))
    if kind == "rest":
        return Message(id_, kind, "rest", arguments=(round(rng.uniform(0.05, 0.5), 3),))
    if kind in LIMITS:
        return Message(id_, kind, kind, arguments=(rng.choice(KEYS), round(rng.uniform(0.05, 0.3), 3)))
    if kind == "rated":
        return Message(id_, kind, kind)
    if kind == "flaky":
        failures = rng.randint(1, 3)
        return Message(id_, kind, "flaky", runs=failures + 1, arguments=(failures,))
    if kind == "always_fails":
        return Message(id_, kind, "always_fails", runs=2)
    if kind == "note":
        return Message(id_, kind, "note", arguments=(rng.randint(1, 30),))
    return Message(id_, kind, "mark")


def _kill(rng: random.Random, external: bool) -> Kill:
    kind = _pick(rng, KILLS | (KILLS_EXTERNAL if external else KILLS_EMBEDDED))
    seconds = rng.uniform(11, 14) if kind == "gone" else rng.uniform(0.5, 7 if kind == "redis pause" else 4)
    return Kill(kind, wait=rng.uniform(0.2, 2.0), seconds=seconds, choice=rng.randrange(1000))


def _requests(rng: random.Random, messages: list[Message]) -> list[list[Message]]:
    requests = [[message] for message in messages if message.kind == "note"]
    others = [message for message in messages if message.kind != "note"]
    while others:
        size = rng.randint(1, MAX_BATCH_SIZE)
        requests.append(others[:size])
        others = others[size:]
    rng.shuffle(requests)
    return requests
