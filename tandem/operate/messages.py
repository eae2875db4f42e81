"""Finds messages in every state: ready, delayed, running, failed, and those that were handled last.

Nothing here decodes a message, except for those that are shown.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import redis
from dramatiq import Message

from tandem.broker import codec, keys, totals
from tandem.broker.connection import clock, name, raw, text
from tandem.broker.dead_letter import DeadLetter
from tandem.broker.scripts import script
from tandem.broker.totals import Handled

State = Literal["ready", "delayed", "running", "failed", "handled"]
STATES: tuple[State, ...] = get_args(State)
#: A search reads at most so many messages of a state, the newest dead letters and the next ones to run.
MOST_SEARCHED = 100_000
#: One script reads so many, so that it blocks Redis for a few milliseconds only.
STEP = 1000
#: How many an action on a whole filter handles at a time.
BATCH = 100
MAX_TEXT = 200
#: So many of the last ids of a page tell where the next one begins, if some of them have left the list.
REMEMBERED = 10
UNKNOWN_PLACE = "this place in the list is unknown: begin at the first page"
# In ms since 1970, beyond which no message fails.
MOST_TIME = 1e14

_HERE = Path(__file__).parent / "lua"


class InvalidFilter(ValueError):
    """What was asked for cannot be; the text says what was expected."""


@dataclass(frozen=True)
class Filter:
    """Selects messages of one state. text: is in the id or the arguments; upper and lower case differ.

    ids_only: the text is looked for in ids alone: whoever may not see arguments could guess them by searching.
    """

    state: State = "ready"
    queue: str = ""
    actor: str = ""
    error: str = ""
    text: str = ""
    ids_only: bool = False

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise InvalidFilter(f"the state {self.state} is unknown: expected one of {', '.join(STATES)}")
        if self.error and self.state not in ("failed", "handled"):
            raise InvalidFilter("only failed and handled messages have an error: expected --state failed or handled")
        if len(self.text) > MAX_TEXT:
            raise InvalidFilter(f"the search is too long: expected at most {MAX_TEXT} characters")

    @property
    def needle(self) -> str:
        """The text as it stands in a payload, which is JSON; "" if it is not looked for there."""
        return "" if self.ids_only else json.dumps(self.text)[1:-1]


@dataclass(frozen=True)
class Found:
    """A message in a list. at: seconds since 1970: when it was sent, is due, began, failed or ended.

    worker: that has claimed it. seconds: for how long it is running, or ran. payload: None for a handled one.
    """

    state: State
    queue: str
    id: str
    at: float
    actor: str = ""
    error: str = ""
    worker: str = ""
    seconds: float = 0.0
    outcome: str = ""
    detail: str = ""
    payload: bytes | None = None

    @property
    def content(self) -> Message[Any] | None:
        """The message; None if it cannot be decoded, or is not stored any more."""
        return codec.decode(self.payload) if self.payload else None


@dataclass(frozen=True)
class Page:
    """Some messages of a list. after: the cursor of the next page, or "". searched: how many were looked at.

    total: how many match, if that is known.
    """

    messages: list[Found] = field(default_factory=list)
    after: str = ""
    searched: int = 0
    total: int | None = None


class Messages:
    """The messages of one Redis. client: one that does not decode. All methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis, declared: Collection[str] = ()) -> None:
        self._redis = client
        self._declared = frozenset(declared)
        self._search_dead = client.register_script(script("dead_rank") + (_HERE / "search_dead.lua").read_text())
        self._search_waiting = client.register_script((_HERE / "search_waiting.lua").read_text())

    def queues(self) -> list[str]:
        """Return all queues."""
        return sorted({*self._declared, *map(text, self._redis.smembers(keys.QUEUES))})

    def page(self, wanted: Filter, *, after: str = "", limit: int = 50) -> Page:
        """Return the messages that come after a cursor. Raises InvalidFilter for an unknown queue or cursor.

        Ready and delayed ones: queue by queue, the next to run first. Failed and handled ones: the newest first. A
        message that leaves the list meanwhile is missing, and none comes twice.
        """
        queues = self.queues()
        if wanted.queue and wanted.queue not in queues:
            raise InvalidFilter(f"unknown queue {wanted.queue}: expected one of {', '.join(queues)}")
        chosen = [wanted.queue] if wanted.queue else queues
        place = _decoded(after)
        if wanted.state == "failed":
            return self._failed(wanted, chosen, place, limit)
        if wanted.state == "running":
            return Page([one for one in self.running(chosen) if _matches(wanted, one)])
        if wanted.state == "handled":
            return self._handled(wanted, chosen, place, limit)
        return self._waiting(wanted, chosen, place, limit)

    # --- waiting ---------------------------------------------------------------------------------------------------

    def _waiting(self, wanted: Filter, queues: list[str], place: list[Any], limit: int) -> Page:
        from_queue, position = _place_of_waiting(place)
        found: list[tuple[str, bytes]] = []
        searched = 0
        for queue, ids in self._slices(wanted.state, queues, from_queue, position):
            searched += len(ids)
            found += [(queue, id_) for id_ in self._matching(wanted, queue, ids)]
            if len(found) > limit or searched >= MOST_SEARCHED:
                break
        shown = found[:limit]
        cursor = ""
        if len(found) > limit:
            queue = shown[-1][0]
            seen = [name(id_) for of, id_ in reversed(shown) if of == queue]
            cursor = _encoded(queue, json.dumps(seen[:REMEMBERED]))
        rows = [row for queue, id_ in shown if (row := self._row(wanted.state, queue, id_))]
        return Page(rows, cursor, searched)

    def _slices(
        self, state: State, queues: list[str], from_queue: str, seen: list[bytes]
    ) -> Iterator[tuple[str, list[bytes]]]:
        for queue in queues:
            if queue >= from_queue:
                for ids in self._ids(state, queue, seen if queue == from_queue else []):
                    yield queue, ids

    def _ids(self, state: State, queue: str, seen: list[bytes]) -> Iterator[list[bytes]]:
        """Yield the ids of a queue, next one first, that come after those that were seen, the last of them first.

        If that one has left the list, another one of them tells the place; if all have left, so have those before.
        """
        if state == "delayed":
            yield from self._sorted_ids(keys.delayed(queue), lambda member: member, seen)
            return
        ranks = (self._redis.lpos(keys.ready(queue), cast(str, id_)) for id_ in seen)
        start = next((cast(int, rank) for rank in ranks if rank is not None), None)
        # Those that wait for the limit of their actor are ready as well, and come last.
        parked = list(self._sorted_ids(keys.parked(queue), lambda member: member.split(b"\t", 2)[2], []))
        last = next((id_ for id_ in seen if any(id_ in ids for ids in parked)), None)
        if last is None:
            position = 0 if start is None else start + 1
            while ids := cast("list[bytes]", self._redis.lrange(keys.ready(queue), position, position + STEP - 1)):
                yield ids
                position += STEP
        for ids in parked:
            if last in ids:
                ids, last = ids[ids.index(last) + 1 :], None
                yield ids
            elif last is None:
                yield ids

    def _sorted_ids(self, key: str, id_of: Callable[[bytes], bytes], seen: list[bytes]) -> Iterator[list[bytes]]:
        ranks = (self._redis.zrank(key, cast(str, id_)) for id_ in seen)
        position = next((int(cast(int, rank)) + 1 for rank in ranks if rank is not None), 0)
        while members := cast("list[bytes]", self._redis.zrange(key, position, position + STEP - 1)):
            yield list(map(id_of, members))
            position += STEP

    def _matching(self, wanted: Filter, queue: str, ids: list[bytes]) -> list[bytes]:
        if not (wanted.actor or wanted.text) or not ids:
            return ids
        arguments: list[Any] = [raw(wanted.actor), raw(wanted.text), wanted.needle, *ids]
        return cast("list[bytes]", self._search_waiting([keys.payloads(queue)], arguments))

    def _row(self, state: State, queue: str, id_: bytes) -> Found | None:
        payload = cast("bytes | None", self._redis.hget(keys.payloads(queue), cast(str, id_)))
        if payload is None:
            return None  # it has ended meanwhile
        content = codec.decode(payload)
        at = sent_at(content) if content else 0.0
        if state == "delayed":
            score = self._redis.zscore(keys.delayed(queue), id_)
            at = _seconds(score)
        return Found(state, queue, name(id_), at, content.actor_name if content else "?", payload=payload)

    # --- running ---------------------------------------------------------------------------------------------------

    def running(self, queues: Collection[str]) -> list[Found]:
        """Return the messages that workers have claimed, those that run longest first."""
        states = {text(worker): json.loads(state) for worker, state in self._redis.hgetall(keys.WORKERS).items()}
        found = []
        for worker, state in states.items():
            # A worker of an older version names messages by their own ids.
            seconds = {one.get("queue_id", one["message_id"]): one["seconds"] for one in state["running"]}
            for queue in queues:
                members = self._redis.zrange(keys.claimed(worker, queue), 0, -1, withscores=True)
                for id_, since in cast("list[tuple[bytes, float]]", members):
                    found.append(self._claimed(worker, queue, id_, since / 1e6, seconds))
        return sorted(found, key=lambda one: -one.seconds)

    def _claimed(self, worker: str, queue: str, id_: bytes, since: float, seconds: dict[str, float]) -> Found:
        payload = cast("bytes | None", self._redis.hget(keys.payloads(queue), cast(str, id_)))
        content = codec.decode(payload or b"")
        runs = seconds.get(name(id_))
        return Found(
            "running",
            queue,
            name(id_),
            since,
            content.actor_name if content else "?",
            worker=worker,
            seconds=runs or 0.0,
            detail="" if runs is not None else "claimed, about to run",
            payload=payload,
        )

    # --- failed ----------------------------------------------------------------------------------------------------

    def _failed(self, wanted: Filter, queues: list[str], place: list[Any], limit: int) -> Page:
        first = (_time_of(place), _id_of(place)) if place else (float("inf"), b"")
        found: list[tuple[float, str, bytes]] = []
        searched, total = 0, None
        # A text is looked for in all of them once, which tells how many there are as well.
        whole = bool(wanted.text)
        for queue in queues:
            matches, count = self._search(
                wanted, queue, *((float("inf"), b"") if whole else first), MOST_SEARCHED if whole else limit + 1
            )
            found += matches
            searched += count
        # As Redis sorts them: those of one millisecond by their ids.
        found.sort(key=lambda one: (one[0], one[2]), reverse=True)
        if whole:
            total, found = len(found), [one for one in found if not place or (one[0], one[2]) < first]
        shown = found[:limit]
        cursor = _encoded(shown[-1][0], name(shown[-1][2])) if len(found) > limit else ""
        letters = [DeadLetter(queue, name(id_), at) for at, queue, id_ in shown]
        return Page([row for letter in letters if (row := self._letter(letter))], cursor, searched, total)

    def _search(
        self, wanted: Filter, queue: str, failed_at: float, id_: bytes, limit: int
    ) -> tuple[list[tuple[float, str, bytes]], int]:
        """Return the newest dead letters that match, and how many were looked at."""
        names = [keys.dead(queue), keys.dead_kinds(queue), keys.dead_payloads(queue)]
        filters = [raw(wanted.actor), raw(wanted.error), raw(wanted.text), wanted.needle]
        matches: list[tuple[float, str, bytes]] = []
        searched, last_at, last_id = 0, cast(Any, failed_at), id_
        while len(matches) < limit and searched < MOST_SEARCHED:
            arguments: list[Any] = [last_at, last_id, STEP, limit, *filters]
            answer = cast("list[Any]", self._search_dead(names, arguments))
            count, last_at, last_id, *pairs = answer
            if not count:
                break
            searched += int(count)
            matches += [(float(at), queue, one) for one, at in zip(pairs[::2], pairs[1::2], strict=True)]
        return matches, searched

    def _letter(self, letter: DeadLetter) -> Found | None:
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(keys.dead_payloads(letter.queue), cast(str, raw(letter.id)))
            pipe.hget(keys.dead_kinds(letter.queue), cast(str, raw(letter.id)))
            payload, kind = pipe.execute()
        if payload is None:
            return None
        actor, _, error = text(kind or b"?\t?").partition("\t")
        stored = DeadLetter(letter.queue, letter.id, letter.failed_at, payload=payload)
        return Found(
            "failed",
            letter.queue,
            letter.id,
            letter.failed_at / 1000,
            actor,
            error,
            detail=stored.message,
            payload=payload,
        )

    def count_failed(self, wanted: Filter) -> tuple[int, bool]:
        """Return how many dead letters match, and whether all were looked at."""
        count, searched, whole = 0, 0, True
        for queue in [wanted.queue] if wanted.queue else self.queues():
            matches, looked = self._search(wanted, queue, float("inf"), b"", MOST_SEARCHED)
            count, searched = count + len(matches), searched + looked
            whole = whole and looked < MOST_SEARCHED
        return count, whole

    def failed_until(self, wanted: Filter, until: float) -> Iterator[list[DeadLetter]]:
        """Yield batches of the dead letters of one queue that match and failed by then (ms), newest first.

        Those that were yielded may be removed or requeued meanwhile; one that fails again failed later.
        """
        for queue in [wanted.queue] if wanted.queue else self.queues():
            failed_at, id_ = until, b"\xff" * 16
            while True:
                found, looked = self._search(wanted, queue, failed_at, id_, BATCH)
                matches = found[:BATCH]
                if matches:
                    failed_at, id_ = matches[-1][0], matches[-1][2]
                    yield [DeadLetter(queue, name(one), at) for at, _, one in matches]
                if len(matches) < BATCH or not looked:
                    break

    def waiting_ids(self, wanted: Filter) -> Iterator[tuple[str, list[bytes]]]:
        """Yield queue and ids of the ready or delayed messages that match now, batch by batch.

        Of each queue MOST_SEARCHED are looked at. Those that were yielded may leave it meanwhile.
        """
        for queue in [wanted.queue] if wanted.queue else self.queues():
            found: list[bytes] = []
            searched = 0
            # All of a queue before the first is yielded: the places of the others change when some are removed.
            for ids in self._ids(wanted.state, queue, []):
                searched += len(ids)
                found += self._matching(wanted, queue, ids)
                if searched >= MOST_SEARCHED:
                    break
            for start in range(0, len(found), BATCH):
                yield queue, found[start : start + BATCH]

    # --- handled ---------------------------------------------------------------------------------------------------

    def _handled(self, wanted: Filter, queues: list[str], place: list[Any], limit: int) -> Page:
        # The newest first; those of the same millisecond in the order in which they were stored.
        rows = [_of_handled(one) for one in totals.handled(self._redis) if one.queue in queues]
        found = [row for row in rows if _matches(wanted, row)]
        if place:
            at, _ = _time_of(place), _id_of(place)
            seen = [n for n, row in enumerate(found) if (row.at, row.id) == (at, place[1])]
            found = found[seen[0] + 1 :] if seen else [row for row in found if row.at < at]
        cursor = _encoded(found[limit - 1].at, found[limit - 1].id) if len(found) > limit else ""
        return Page(found[:limit], cursor, len(rows))

    # --- one -------------------------------------------------------------------------------------------------------

    def find(self, id_: str) -> list[Found]:
        """Return where a message is: in one place, or in several if it was sent or failed more than once."""
        queues = self.queues()
        found = [one for one in self.running(queues) if one.id == id_]
        claimed = {one.queue for one in found}
        for queue in queues:
            if queue not in claimed and (one := self._find_waiting(queue, id_)):
                found.append(one)
            at = self._redis.zscore(keys.dead(queue), raw(id_))
            if at is not None and (letter := self._letter(DeadLetter(queue, id_, float(at)))):
                found.append(letter)
        if not found:
            found = [_of_handled(one) for one in totals.handled(self._redis) if one.id == id_][:1]
        return found

    def _find_waiting(self, queue: str, id_: str) -> Found | None:
        delayed = self._redis.zscore(keys.delayed(queue), raw(id_)) is not None
        return self._row("delayed" if delayed else "ready", queue, raw(id_))

    def history(self, id_: str) -> list[Handled]:
        """Return the attempts of a message among the last that were handled, newest last."""
        return [one for one in totals.handled(self._redis) if one.id == id_][::-1]

    def now(self) -> float:
        """Return the time of Redis in seconds."""
        return clock(self._redis)


def sent_at(message: Message[Any]) -> float:
    """Return when a message was sent, in seconds since 1970; 0 if its sender has claimed no time that can be."""
    return _seconds(message.message_timestamp)


def _seconds(milliseconds: object) -> float:
    is_time = isinstance(milliseconds, (int, float)) and 0 <= milliseconds < MOST_TIME
    return cast(float, milliseconds) / 1000 if is_time else 0.0


def _of_handled(one: Handled) -> Found:
    return Found(
        "handled",
        one.queue,
        one.id,
        one.at,
        one.actor,
        one.error,
        worker=one.worker,
        seconds=one.ran,
        outcome=one.outcome,
        detail=f"{one.outcome}{f': {one.error}' if one.error else ''}",
    )


def _matches(wanted: Filter, one: Found) -> bool:
    if (wanted.actor and wanted.actor != one.actor) or (wanted.error and wanted.error != one.error):
        return False
    if not wanted.text:
        return True
    content = None if wanted.ids_only else one.content
    return wanted.text in one.id or bool(content and wanted.text in _arguments(content))


def _arguments(content: Message[Any]) -> str:
    try:
        return json.dumps([content.args, content.kwargs], ensure_ascii=False, default=repr)
    except (TypeError, ValueError):
        return ""


def _encoded(*place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> list[Any]:
    """Return the place that a cursor names. Raises InvalidFilter."""
    if not cursor:
        return []
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(place, list) or len(place) != 2 or not isinstance(place[1], str):
            raise ValueError
    except (ValueError, RecursionError) as error:
        raise InvalidFilter(UNKNOWN_PLACE) from error
    return place


def _time_of(place: list[Any]) -> float:
    """Return the time in the cursor of a list that is sorted by time. Raises InvalidFilter."""
    if not isinstance(place[0], (int, float)) or not 0 <= place[0] < MOST_TIME:
        raise InvalidFilter(UNKNOWN_PLACE)
    return float(place[0])


def _id_of(place: list[Any]) -> bytes:
    """Return the id in a cursor. Raises InvalidFilter."""
    try:
        return raw(place[1])
    except UnicodeEncodeError as error:
        raise InvalidFilter(UNKNOWN_PLACE) from error


def _place_of_waiting(place: list[Any]) -> tuple[str, list[bytes]]:
    """Return the queue in a cursor, and the ids that were seen last. Raises InvalidFilter."""
    if not place:
        return "", []
    try:
        seen = json.loads(place[1])
        if not isinstance(place[0], str) or not isinstance(seen, list) or len(seen) > REMEMBERED:
            raise ValueError
        return place[0], [raw(str(id_)) for id_ in seen]
    except (ValueError, RecursionError) as error:
        raise InvalidFilter(UNKNOWN_PLACE) from error
