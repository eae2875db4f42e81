"""Messages between Redis and one worker: taken, settled, given back, and brought back after a worker's death.

The scripts of this folder keep every message in exactly one place (see keys.py). All methods raise redis.RedisError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

import redis

from app.queueing import keys, statistics
from app.queueing.along import ENQUEUE, enqueue_arguments, enqueue_keys
from app.queueing.connection import name, raw
from app.queueing.submission import Once, QueueFull, Record

# Redis could hold it for longer, but what waits for more than a week is better a row in a database.
MAX_DELAY_MS = 7 * 86_400_000
# Redis's Lua can hand over some thousand values at once; a script stays well below.
MAX_BATCH = 500
_SCRIPTS = Path(__file__).parent / "scripts"

Result = Literal["handled", "retried", "failed", "continued"]


@dataclass(slots=True)
class Taken:
    """A message that is with this worker. `number`: how often it was delivered, this time included."""

    queue: str
    id: str
    number: int
    payload: bytes


@dataclass(slots=True)
class Outcome:
    """How a delivery ended. `payload`: what is kept of the message from now on, where it is kept.

    detail: of `retried` the delay in ms, of `failed` the kind of the dead letter, of `continued` head or tail.
    waited, ran: seconds.
    """

    taken: Taken
    result: Result
    actor: str
    payload: bytes = b""
    detail: str = ""
    waited: float = 0.0
    ran: float = 0.0


class Delivery:
    """The messages of one worker. No two living processes may share its name."""

    def __init__(self, client: redis.Redis, *, worker: str) -> None:
        self.worker = worker
        self._redis = client
        self._enqueue = client.register_script(f"{ENQUEUE}return enqueue(KEYS, ARGV)")
        self._submit = self._script("submit")
        self._fetch = self._script("fetch")
        self._settle = self._script("settle")
        self._give_back = self._script("give_back")
        self._alone = self._script("alone")
        self._take = self._script("take")
        self._beat = self._script("beat")
        self._leave = self._script("leave")

    def enqueue(self, queue: str, id_: str, payload: bytes, delay: int | None) -> bool:
        """Puts a new message into its queue, `delay` ms later if given; False when its id is taken."""
        return bool(self._enqueue(enqueue_keys(queue), enqueue_arguments(queue, id_, payload, delay)))

    def submit(
        self, queue: str, id_: str, payload: bytes, record: Record, once: Once | None, most_waiting: int
    ) -> str | None:
        """Stores a new message and its record, both or neither; None when they are stored.

        Otherwise what is remembered under `once` from an earlier time, and nothing is stored. Raises QueueFull.
        """
        names = [*enqueue_keys(queue), record.key, record.index]
        arguments: list[Any] = [
            queue,
            id_,
            payload,
            most_waiting,
            once.value if once else "",
            once.seconds if once else 0,
            record.member,
        ]
        arguments += [part for pair in record.fields.items() for part in pair]
        answer = cast("list[Any]", self._submit([*names, once.key] if once else names, arguments))
        if answer[0] == b"full":
            raise QueueFull(answer[1])
        return answer[1].decode() if answer[0] == b"known" else None

    def fetch(
        self, queues: Sequence[str], count: int, at_once: Mapping[str, int] = MappingProxyType({})
    ) -> tuple[list[Taken], float | None]:
        """At most `count` messages, the first queue's first, which are now with this worker.

        `at_once`: how many messages of a queue may be with all workers together, where that is bounded. Also the
        seconds until the next delayed message is due, None where none waits; it says something only when there was
        nothing more to take.
        """
        names = [keys.HEARTBEATS, keys.PAUSED]
        for queue in queues:
            names += self._keys(queue)
        bounds = [part for queue in queues for part in (queue, at_once.get(queue, 0))]
        answer = cast("list[Any]", self._fetch(names, [self.worker, min(count, MAX_BATCH), *bounds]))
        due_in = None if answer[0] < 0 else answer[0] / 1000
        taken = [
            Taken(queues[answer[i] - 1], name(answer[i + 1]), answer[i + 2], answer[i + 3])
            for i in range(1, len(answer), 4)
        ]
        return taken, due_in

    def settle(self, queue: str, outcomes: Sequence[Outcome]) -> set[str]:
        """Stores how these messages of one queue ended; the ids of those that were no longer with this worker."""
        arguments: list[Any] = []
        for outcome in outcomes:
            taken = outcome.taken
            arguments += [raw(taken.id), taken.number, outcome.result, outcome.payload, outcome.detail, outcome.actor]
            for seconds in (outcome.waited, outcome.ran):
                arguments += [statistics.bucket(seconds * 1000), round(seconds * 1_000_000)]
        names = [
            *self._keys(queue),
            keys.dead(queue),
            keys.dead_payloads(queue),
            keys.dead_kinds(queue),
            keys.dead_counts(queue),
        ]
        return {name(id_) for id_ in cast("list[bytes]", self._settle(names, arguments))}

    def owns(self, taken: Taken) -> bool:
        """Whether this delivery of the message is still the last one, and with this worker."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zscore(keys.held(self.worker, taken.queue), raw(taken.id))
            pipe.hget(keys.deliveries(taken.queue), raw(taken.id))
            held, number = pipe.execute()
        return held is not None and int(number or 0) == taken.number

    def give_back(self, queue: str, ids: Sequence[str], *, untouched: bool = True) -> int:
        """Puts messages back at the head of their queue in this order; tells how many.

        `untouched`: nobody worked on them, so this delivery does not count.
        """
        count = 0
        # From the end, so that the first batch comes to stand in front.
        for end in range(len(ids), 0, -MAX_BATCH):
            batch = ids[max(0, end - MAX_BATCH) : end]
            count += int(cast(int, self._give_back(self._keys(queue), [int(untouched), *map(raw, batch)])))
        return count

    def held(self, queue: str) -> list[Taken]:
        """The messages that are with this worker, in the order in which it took them."""
        ids = cast("list[bytes]", self._redis.zrange(keys.held(self.worker, queue), 0, -1))
        if not ids:
            return []
        names = cast("list[str]", ids)
        found = zip(
            ids,
            cast("list[bytes | None]", self._redis.hmget(keys.payloads(queue), names)),
            cast("list[bytes | None]", self._redis.hmget(keys.deliveries(queue), names)),
            strict=True,
        )
        return [Taken(queue, name(id_), int(number or 0), payload) for id_, payload, number in found if payload]

    def deliver_alone(self, taken: Taken) -> Taken | None:
        """Delivers a held message once more, noted as the only one that runs here; None when it is gone."""
        names = [keys.held(self.worker, taken.queue), keys.deliveries(taken.queue), keys.alone(self.worker)]
        number = int(cast(int, self._alone(names, [taken.queue, raw(taken.id)])))
        return Taken(taken.queue, taken.id, number, taken.payload) if number else None

    def ran_alone(self) -> tuple[str, str] | None:
        """Queue and id of the message that was the only one to run here, if one was."""
        noted = cast("bytes | None", self._redis.get(keys.alone(self.worker)))
        if noted is None:
            return None
        queue, _, id_ = name(noted).partition("\t")
        return queue, id_

    def forget_alone(self) -> None:
        """From now on several messages may run here."""
        self._redis.delete(keys.alone(self.worker))

    def take(self, queue: str, id_: str) -> Taken | None:
        """Takes this one message, wherever it waits."""
        answer = cast("list[Any]", self._take([keys.HEARTBEATS, *self._keys(queue)], [self.worker, raw(id_)]))
        return Taken(queue, id_, answer[0], answer[1]) if answer else None

    def now(self) -> int:
        """Milliseconds since 1970 by the clock of Redis, which all workers share."""
        seconds, microseconds = self._redis.time()
        return seconds * 1000 + microseconds // 1000

    def beat(self, sign: str) -> None:
        """Tells the other workers that this one lives and keeps its messages. `sign`: what it does, as JSON."""
        self._beat([keys.HEARTBEATS, keys.WORKERS], [self.worker, sign])

    def heartbeats(self) -> dict[str, float]:
        """When each worker gave its last sign, in ms by the clock of Redis."""
        beats = cast("list[tuple[bytes, float]]", self._redis.zrange(keys.HEARTBEATS, 0, -1, withscores=True))
        return {name(worker): beat for worker, beat in beats}

    def of(self, worker: str) -> Delivery:
        """The messages of another worker, one that is lost."""
        return Delivery(self._redis, worker=worker)

    def leave(self) -> bool:
        """Takes this worker off the list of those that must not be silent; False while messages are with it.

        Messages of any queue, known here or not.
        """
        return bool(self._leave([keys.HEARTBEATS, keys.WORKERS, keys.QUEUES], [self.worker]))

    def _keys(self, queue: str) -> list[str]:
        """In the order in which the scripts take them."""
        return [
            keys.payloads(queue),
            keys.ready(queue),
            keys.delayed(queue),
            keys.bell(queue),
            keys.held(self.worker, queue),
            keys.deliveries(queue),
        ]

    def _script(self, file: str) -> redis.commands.core.Script:
        return self._redis.register_script((_SCRIPTS / f"{file}.lua").read_text())


def by_queue(messages: Iterable[Taken]) -> dict[str, list[Taken]]:
    """The messages of each queue, in their order."""
    queues: dict[str, list[Taken]] = {}
    for taken in messages:
        queues.setdefault(taken.queue, []).append(taken)
    return queues
