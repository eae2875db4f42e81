"""Messages between Redis and one worker: claimed, acknowledged, and requeued, also after a worker's death.

The scripts of this folder keep every message in exactly one place (see keys.py). All methods raise redis.RedisError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

import redis

from tandem.broker import codec, keys, statistics, totals
from tandem.broker.clock import Clock
from tandem.broker.connection import name, raw
from tandem.broker.idempotency import IdempotencyKey, JobRecord, QueueFull, QuotaExceeded
from tandem.broker.limits import NO_RATE, Limit
from tandem.broker.outbox import ENQUEUE, enqueue_arguments, enqueue_keys
from tandem.broker.rate import Rate
from tandem.broker.scripts import script
from tandem.broker.unique import Unique

# Redis could store it for longer, but a message that waits for more than a week belongs in a database.
MAX_DELAY_MS = 7 * 86_400_000
# Redis's Lua can pass some thousand values at once; the scripts stay well below.
MAX_BATCH = 500
ADOPTED_AT_ONCE = 100
UNPARKED_AT_ONCE = 500
# For Redis, 0 is for ever (seconds).
SHORTEST_WAIT = 0.001
# Times are counted as so many seconds at most: a sender can claim any, and sums of them must not overflow.
MAX_COUNTED = 30 * 86_400.0
# Seconds for which the wake-up of a worker that does not wait is kept.
WAKE_KEPT = 10

Result = Literal["completed", "retried", "failed", "snoozed"]


@dataclass(slots=True)
class Delivery:
    """A message that this worker has claimed.

    delivery_count: how often it was delivered, this time included. lane: of its limit, if it has any (see limits.py).
    """

    queue: str
    id: str
    delivery_count: int
    payload: bytes
    lane: str = ""


@dataclass(slots=True)
class Outcome:
    """How a delivery ended. `payload`: the message as it is stored from now on, unless it is completed.

    detail: for `retried` the delay in ms, for `failed` the kind of the dead letter, for `snoozed` head or tail.
    error: the class of what a retried attempt ended with. report: for the broker's reporter, once it is stored.
    waited, ran: seconds.
    """

    delivery: Delivery
    result: Result
    actor: str
    payload: bytes = b""
    detail: str = ""
    error: str = ""
    report: Any = None
    waited: float = 0.0
    ran: float = 0.0


class NewMessage(NamedTuple):
    """A message to enqueue; `delay`: ms, if any."""

    queue: str
    id: str
    payload: bytes
    delay: int | None


class MessageStore:
    """The messages of one worker. No two living processes may share its name."""

    def __init__(self, client: redis.Redis, *, worker: str) -> None:
        self.worker = worker
        self.clock = Clock(client)
        self._redis = client
        self._enqueue = client.register_script(f"{ENQUEUE}return enqueue(KEYS, ARGV)")
        self._enqueue_many = self._script("enqueue_many")
        self._enqueue_unique = client.register_script(
            f"{ENQUEUE}{script('enqueue_unique')}return enqueue_unique(KEYS, ARGV)"
        )
        self._adopt_delayed = self._script("adopt_delayed")
        self._enqueue_once = self._script("enqueue_once")
        self._claim_batch = client.register_script("".join(map(script, ("rate", "lanes", "claim_batch"))))
        self._unpark = self._script("unpark")
        self._ack = client.register_script(totals.LUA + script("notify") + script("ack"))
        self._requeue = self._script("requeue")
        self._isolate = self._script("isolate")
        self._claim_by_id = self._script("claim_by_id")
        self._heartbeat = self._script("heartbeat")
        self._deregister = self._script("deregister")

    def enqueue(self, queue: str, id_: str, payload: bytes, delay: int | None) -> bool:
        """Put a new message into its queue, due after `delay` ms if given; return False if its id exists."""
        return bool(self._enqueue(enqueue_keys(queue), enqueue_arguments(queue, id_, payload, delay)))

    def enqueue_many(self, messages: Sequence[NewMessage]) -> list[int]:
        """Put at most MAX_BATCH new messages into their queues; if ids exist, none of them, and return their places.

        The ids of the messages differ.
        """
        queues = list(dict.fromkeys(message.queue for message in messages))
        names = [name for queue in queues for name in enqueue_keys(queue)[:-1]]
        arguments: list[Any] = []
        for message in messages:
            arguments.append(queues.index(message.queue) + 1)
            arguments += enqueue_arguments(message.queue, message.id, message.payload, message.delay)
        taken = cast("list[int]", self._enqueue_many([*names, keys.QUEUES], arguments))
        return [number - 1 for number in taken]

    def enqueue_unique(self, queue: str, payload: bytes, delay: int | None, unique: Unique) -> tuple[str, str]:
        """Put a new message into its queue unless one with its key is there.

        Return `sent`, `replaced` or `known`, and the id in the queue.
        """
        arguments = [*enqueue_arguments(queue, unique.id, payload, delay), unique.until, unique.on_duplicate]
        names = [*enqueue_keys(queue), keys.HEARTBEATS]
        result, id_ = cast("list[bytes]", self._enqueue_unique(names, arguments))
        return result.decode(), name(id_)

    def adopt_delayed(self, queue: str) -> int:
        """Take over delayed messages that dramatiq's own broker has sent to this queue; return how many.

        At most ADOPTED_AT_ONCE.
        """
        ids = cast("list[bytes]", self._redis.lrange(keys.stock_delayed(queue), 0, ADOPTED_AT_ONCE - 1))
        if not ids:
            return 0
        found = self._redis.hmget(keys.stock_delayed_payloads(queue), cast("list[str]", ids))
        arguments: list[Any] = [queue]
        for id_, payload in zip(ids, cast("list[bytes | None]", found), strict=True):
            if payload is not None:
                arguments += [id_, *_as_ours(queue, payload)]
        names = [
            keys.stock_delayed(queue),
            keys.stock_delayed_payloads(queue),
            keys.payloads(queue),
            keys.delayed(queue),
            keys.notify(queue),
            keys.QUEUES,
        ]
        return int(cast(int, self._adopt_delayed(names, arguments)))

    def enqueue_once(
        self, queue: str, id_: str, payload: bytes, record: JobRecord, once: IdempotencyKey | None, most_waiting: int
    ) -> str | None:
        """Store a new message and its record, both or neither; return None if they are stored.

        If the idempotency key `once` exists, return its value and store nothing. Raises QueueFull and QuotaExceeded.
        """
        quota = record.quota
        names = [*enqueue_keys(queue), record.key, record.index, *([quota.key] if quota else [])]
        arguments: list[Any] = [
            queue,
            id_,
            payload,
            most_waiting,
            once.value if once else "",
            once.seconds if once else 0,
            record.member,
            *((quota.member, quota.bytes, quota.most) if quota else ("", 0, 0)),
        ]
        arguments += [part for pair in record.fields.items() for part in pair]
        answer = cast("list[Any]", self._enqueue_once([*names, once.key] if once else names, arguments))
        if answer[0] == b"full":
            raise QueueFull(answer[1])
        if answer[0] == b"over":
            raise QuotaExceeded(answer[1])
        return answer[1].decode() if answer[0] == b"known" else None

    def claim_batch(
        self,
        queues: Sequence[str],
        count: int,
        max_concurrency: Mapping[str, int] = MappingProxyType({}),
        rates: Mapping[str, Rate] = MappingProxyType({}),
        limits: Mapping[str, Sequence[Limit]] = MappingProxyType({}),
        wait: float = 0.0,
    ) -> tuple[list[Delivery], float | None]:
        """Claim at most `count` messages, those of the first queue first.

        `wait`: seconds to wait at most before it, for a notification of one of the queues or for `stop_waiting`.

        `max_concurrency`: how many messages of a queue all workers together may have claimed, if that is limited.
        `rates`: how many in a time. `limits`: those of the actors of a queue.
        Also return the seconds until a delayed message is due, or until a rate allows one more, None if there is none;
        this is meaningful only if there was nothing more to claim.
        """
        names = [keys.HEARTBEATS, keys.PAUSED]
        for queue in queues:
            names += self._keys(queue)
        arguments: list[str | int] = [self.worker, min(count, MAX_BATCH)]
        for queue in queues:
            rate = rates.get(queue, NO_RATE)
            arguments += [queue, max_concurrency.get(queue, 0), rate.count, rate.window]
        for number, queue in enumerate(queues if limits else (), start=1):
            for limit in limits.get(queue, ()):
                arguments += [number, limit.actor, limit.max_concurrency]
                arguments += [limit.rate.count, limit.rate.window, int(limit.keyed)]
        if wait > 0:
            answer = self._wait_and_claim(queues, names, arguments, wait)
        else:
            answer = cast("list[Any]", self._claim_batch(names, arguments))
        due_in = None if answer[0] < 0 else answer[0] / 1000
        claimed = [
            Delivery(queues[answer[i] - 1], name(answer[i + 1]), answer[i + 2], answer[i + 3])
            for i in range(2, len(answer), 4)
        ]
        if answer[1]:
            lanes = {name(id_): name(lane) for id_, lane in zip(answer[1][::2], answer[1][1::2], strict=True)}
            for delivery in claimed:
                delivery.lane = lanes.get(delivery.id, "")
        return claimed, due_in

    def _wait_and_claim(
        self, queues: Sequence[str], names: list[str], arguments: list[str | int], wait: float
    ) -> list[Any]:
        """Wait and claim in one round trip: Redis runs the script right after the command that blocks."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.blpop([keys.wake(self.worker), *map(keys.notify, queues)], timeout=max(wait, SHORTEST_WAIT))
        pipeline.evalsha(self._claim_batch.sha, len(names), *names, *arguments)
        _, answer = pipeline.execute(raise_on_error=False)
        if isinstance(answer, redis.exceptions.NoScriptError):
            return cast("list[Any]", self._claim_batch(names, arguments))
        if isinstance(answer, Exception):
            raise answer
        return cast("list[Any]", answer)

    def stop_waiting(self) -> None:
        """End the wait of this worker's `claim_batch`, the current or the next one."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(keys.wake(self.worker), 1)
            pipe.expire(keys.wake(self.worker), WAKE_KEPT)
            pipe.execute()

    def ack(self, queue: str, outcomes: Sequence[Outcome]) -> set[str]:
        """Store how these messages of one queue ended; return the ids of those that it had no longer claimed."""
        has_lanes = any(outcome.delivery.lane for outcome in outcomes)
        arguments: list[Any] = [12 if has_lanes else 11]
        for outcome in outcomes:
            delivery = outcome.delivery
            arguments += [
                raw(delivery.id),
                delivery.delivery_count,
                outcome.result,
                outcome.payload,
                outcome.detail,
                outcome.actor,
                outcome.error,
            ]
            for seconds in (outcome.waited, outcome.ran):
                seconds = min(seconds, MAX_COUNTED)
                arguments += [statistics.bucket(seconds * 1000), round(seconds * 1_000_000)]
            if has_lanes:
                arguments.append(raw(delivery.lane))
        names = [
            *self._keys(queue),
            keys.dead(queue),
            keys.dead_payloads(queue),
            keys.dead_kinds(queue),
            keys.dead_counts(queue),
            keys.slots(queue),
            keys.lanes(queue),
        ]
        return {name(id_) for id_ in cast("list[bytes]", self._ack(names, arguments))}

    def is_current(self, delivery: Delivery) -> bool:
        """Return whether this is the last delivery of the message, and this worker has still claimed it."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zscore(keys.claimed(self.worker, delivery.queue), raw(delivery.id))
            pipe.hget(keys.deliveries(delivery.queue), raw(delivery.id))
            claimed, count = pipe.execute()
        return claimed is not None and int(count or 0) == delivery.delivery_count

    def requeue(self, queue: str, ids: Sequence[str], *, untouched: bool = True) -> int:
        """Put messages back at the head of their queue in this order; return how many.

        `untouched`: they were not started, so this delivery does not count.
        """
        count = 0
        # From the end, so that the first batch ends up at the head.
        for end in range(len(ids), 0, -MAX_BATCH):
            batch = ids[max(0, end - MAX_BATCH) : end]
            count += int(cast(int, self._requeue(self._keys(queue), [int(untouched), *map(raw, batch)])))
        return count

    def unpark(self, queue: str) -> int:
        """Put parked messages back into their queue, in which no actor has a limit any more; return how many.

        At most UNPARKED_AT_ONCE.
        """
        names = [keys.ready(queue), keys.parked(queue), keys.lanes(queue), keys.notify(queue)]
        return int(cast(int, self._unpark(names, [UNPARKED_AT_ONCE])))

    def claimed(self, queue: str) -> list[Delivery]:
        """Return the messages that this worker has claimed, in the order of claiming."""
        ids = cast("list[bytes]", self._redis.zrange(keys.claimed(self.worker, queue), 0, -1))
        if not ids:
            return []
        names = cast("list[str]", ids)
        found = zip(
            ids,
            cast("list[bytes | None]", self._redis.hmget(keys.payloads(queue), names)),
            cast("list[bytes | None]", self._redis.hmget(keys.deliveries(queue), names)),
            strict=True,
        )
        return [Delivery(queue, name(id_), int(count or 0), payload) for id_, payload, count in found if payload]

    def deliver_isolated(self, delivery: Delivery) -> Delivery | None:
        """Deliver a claimed message again as an isolated run; return None if it is no longer claimed."""
        names = [keys.claimed(self.worker, delivery.queue), keys.deliveries(delivery.queue), keys.isolated(self.worker)]
        count = int(cast(int, self._isolate(names, [delivery.queue, raw(delivery.id)])))
        return Delivery(delivery.queue, delivery.id, count, delivery.payload) if count else None

    def isolated(self) -> tuple[str, str] | None:
        """Return queue and id of the isolated run of this worker, if there is one."""
        noted = cast("bytes | None", self._redis.get(keys.isolated(self.worker)))
        if noted is None:
            return None
        queue, _, id_ = name(noted).partition("\t")
        return queue, id_

    def clear_isolated(self) -> None:
        """Note that several messages may run on this worker again."""
        self._redis.delete(keys.isolated(self.worker))

    def claim_by_id(self, queue: str, id_: str) -> Delivery | None:
        """Claim one message, whether ready or delayed."""
        answer = cast("list[Any]", self._claim_by_id([keys.HEARTBEATS, *self._keys(queue)], [self.worker, raw(id_)]))
        return Delivery(queue, id_, answer[0], answer[1]) if answer else None

    def size(self, queue: str) -> int:
        """Return how many messages of a queue wait, are delayed or claimed."""
        return self._redis.hlen(keys.payloads(queue))

    def now(self) -> int:
        """Return milliseconds since 1970 by the clock of Redis, which all workers share."""
        return self.clock.query()

    def heartbeat(self, state: str) -> None:
        """Send this worker's heartbeat, with which it keeps its messages. `state`: JSON for other processes."""
        self._heartbeat([keys.HEARTBEATS, keys.WORKERS], [self.worker, state])

    def heartbeats(self) -> dict[str, float]:
        """Return when each worker sent its last heartbeat, in ms by the clock of Redis."""
        beats = cast("list[tuple[bytes, float]]", self._redis.zrange(keys.HEARTBEATS, 0, -1, withscores=True))
        return {name(worker): beat for worker, beat in beats}

    def for_worker(self, worker: str) -> MessageStore:
        """Return the messages of another worker, one that is lost."""
        return MessageStore(self._redis, worker=worker)

    def deregister(self) -> bool:
        """Remove this worker from those that must send heartbeats; return False while it has claimed messages.

        Messages of any queue count, whether this process knows the queue or not.
        """
        return bool(self._deregister([keys.HEARTBEATS, keys.WORKERS, keys.QUEUES], [self.worker]))

    def _keys(self, queue: str) -> list[str]:
        """Return the keys of a queue in the order that the scripts expect."""
        return [
            keys.payloads(queue),
            keys.ready(queue),
            keys.delayed(queue),
            keys.notify(queue),
            keys.claimed(self.worker, queue),
            keys.deliveries(queue),
        ]

    def _script(self, file: str) -> redis.commands.core.Script:
        return self._redis.register_script(script("notify") + script(file))


def _as_ours(queue: str, payload: bytes) -> tuple[bytes, float]:
    """Return a delayed message of dramatiq's own broker as it is stored here, and the time (ms) when it is due."""
    message = codec.decode(payload)
    if message is None:
        return payload, 0  # it becomes a dead letter at once
    eta = message.options.get("eta")
    due = eta if isinstance(eta, (int, float)) else 0
    return message.copy(queue_name=queue).encode(), due


def by_queue(messages: Iterable[Delivery]) -> dict[str, list[Delivery]]:
    """Return the messages of each queue, in their order."""
    queues: dict[str, list[Delivery]] = {}
    for delivery in messages:
        queues.setdefault(delivery.queue, []).append(delivery)
    return queues
