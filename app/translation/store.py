"""Translations in Redis.

tandem:translation:<id>          hash: the fields of Translation, and run and member
tandem:translation:<id>:chunks   hash: number of a chunk -> JSON of its translation, until it is done
tandem:translation:<id>:changes  channel: the number of each new version of the record
tandem:translations              sorted set: <created, ms>:<id> of every translation, in the order of the names
tandem:translations:ended        sorted set: the same names of those that have ended, by the second when they expire

A translation that has ended is kept for `retention` seconds; one that has not is kept, however long it waits.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast
from uuid import uuid4

import redis

from app.queueing.along import ENQUEUE, Along
from app.queueing.submission import Record
from app.translation.parts import Part, Problem
from app.translation.request import Format, TranslationRequest

Status = Literal["queued", "running", "done", "failed", "cancelled"]

INDEX = "tandem:translations"
ENDED = "tandem:translations:ended"

_CHANGE = ENQUEUE + (Path(__file__).parent / "scripts" / "change.lua").read_text()
_OPTIONAL = ("source", "translation", "error", "started_at", "finished_at", "file_name", "callback_url")
_STATE = ("status", "done", "total", "characters", "error", "version")


@dataclass(frozen=True)
class State:
    """How far a translation is. characters: what the model has answered so far of the part it is at."""

    status: Status
    done: int
    total: int
    characters: int
    error: str | None
    version: int

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ("done", "failed", "cancelled")

    def public(self) -> dict[str, Any]:
        """The JSON that clients get as an event."""
        progress = {"done": self.done, "total": self.total, "characters": self.characters}
        return {"status": self.status, "progress": progress, "error": self.error}


@dataclass(frozen=True)
class Translation:
    """One translation as it is stored; times are ISO 8601 in UTC, empty until they come."""

    id: str
    text: str
    format: Format
    source: str | None
    target: str
    model: str
    status: Status
    created_at: str
    detected: bool = False
    file_name: str | None = None
    glossary: Mapping[str, str] = field(default_factory=dict)
    callback_url: str | None = None
    done: int = 0
    total: int = 0
    characters: int = 0
    version: int = 0
    translation: str | None = None
    problems: Sequence[Mapping[str, Any]] = ()
    error: str | None = None
    started_at: str | None = None
    finished_at: str | None = None

    @property
    def state(self) -> State:
        """How far it is."""
        return State(self.status, self.done, self.total, self.characters, self.error, self.version)

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state.ended

    def summary(self) -> dict[str, Any]:
        """The JSON that clients get of it in a list: all but the texts."""
        return {
            "id": self.id,
            **self.state.public(),
            "source": self.source,
            "source_detected": self.detected,
            "target": self.target,
            "model": self.model,
            "format": self.format,
            "file_name": self.file_name,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
        }

    def public(self) -> dict[str, Any]:
        """The JSON that clients get."""
        return self.summary() | {"translation": self.translation, "problems": list(self.problems)}


_FIELDS = tuple(field.name for field in fields(Translation))
_WITHOUT_TEXTS = tuple(name for name in _FIELDS if name not in ("text", "translation", "glossary", "problems"))


class Store:
    """Translations in the Redis of `client`, which has to decode its answers.

    `at_end`: the message that is sent in the same step in which a translation with a callback_url ends, by its id and
    its last status.
    """

    def __init__(
        self, client: redis.Redis, *, retention: int, at_end: Callable[[str, Status], Along] | None = None
    ) -> None:
        self._redis = client
        self._retention = retention
        self._at_end = at_end
        self._script = client.register_script(_CHANGE)

    def create(
        self,
        request: TranslationRequest,
        *,
        model: str,
        source: str | None = None,
        detected: bool = False,
        file_name: str | None = None,
    ) -> Translation:
        """A queued translation with a new id; who submits it stores its record."""
        return Translation(
            id=str(uuid4()),
            text=request.text,
            format=request.format,
            source=source or request.source,
            detected=detected,
            target=request.target,
            model=model,
            status="queued",
            created_at=_now(),
            file_name=file_name,
            glossary=request.glossary,
            callback_url=request.callback_url,
        )

    def record(self, translation: Translation) -> Record:
        """What is stored of a new translation."""
        fields = {name: value for name, value in vars(translation).items() if value is not None}
        fields |= {"detected": int(translation.detected), "glossary": _json(translation.glossary), "problems": "[]"}
        created = round(datetime.fromisoformat(translation.created_at).timestamp() * 1000)
        member = f"{created:013}:{translation.id}"
        return Record(_key(translation.id), fields | {"member": member}, INDEX, member)

    def get(self, id: str) -> Translation | None:
        """The translation, or None where there is none (any more)."""
        return _translation(_answer(self._redis.hgetall(_key(id))))

    def state(self, id: str) -> State | None:
        """How far a translation is, or None where there is none (any more)."""
        return self.states([id])[0]

    def states(self, ids: Sequence[str]) -> list[State | None]:
        """How far these translations are, in their order, read in one go."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for id in ids:
                pipeline.hmget(_key(id), _STATE)
            rows: list[list[str | None]] = pipeline.execute()
        return [_state(row) for row in rows]

    def page(self, *, limit: int, after: str | None = None) -> tuple[list[Translation], str | None]:
        """The newest translations, or those that come `after` a cursor; and the next page's cursor, if there is one.

        They come without their texts, which may be long.
        """
        start = f"({after}" if after else "+"
        members = cast("list[str]", self._redis.zrevrangebylex(INDEX, start, "-", start=0, num=limit + 1))
        with self._redis.pipeline(transaction=False) as pipeline:
            for member in members[:limit]:
                pipeline.hmget(_key(member.partition(":")[2]), _WITHOUT_TEXTS)
            rows = [dict(zip(_WITHOUT_TEXTS, row, strict=True)) for row in pipeline.execute()]
        found = [translation for row in rows if row["id"] and (translation := _translation({"text": "", **row}))]
        return found, members[limit - 1] if len(members) > limit else None

    def start(self, id: str, *, total: int) -> str | None:
        """Marks it as running and gives the name of this run; None when it has ended or is gone.

        Only the last run that started can change anything: one whose worker was thought dead, and lives, cannot.
        """
        run = uuid4().hex
        began: dict[str, str | int] = {"status": "running", "total": total, "characters": 0, "run": run}
        began["started_at"] = _now()
        return run if self._change(id, began) else None

    def requeue(self, id: str, run: str, *, error: str = "") -> bool:
        """Marks it as queued again, after an attempt that failed with `error` or a part that is done."""
        return self._change(id, {"status": "queued", "error": error, "characters": 0}, by=run)

    def finish(self, id: str, run: str, translation: str, problems: Iterable[Mapping[str, Any]] = ()) -> bool:
        """Stores the result, once; False when it has ended before or another run has begun."""
        result: dict[str, str | int] = {"translation": translation, "problems": _json(list(problems))}
        return self._end(id, "done", result, by=run)

    def fail(self, id: str, error: str) -> bool:
        """Ends it without a result; False when it has ended before."""
        return self._end(id, "failed", {"error": error})

    def cancel(self, id: str) -> bool:
        """Ends it because nobody wants it any more; False when it has ended before."""
        return self._end(id, "cancelled", {})

    def reopen(self, id: str) -> bool:
        """Queues a failed translation again, without the parts that did not come out; False when it has not failed."""
        state = self.state(id)
        if not state or state.status != "failed":
            return False
        parts = self.chunks(id).items()
        self.drop_chunks(id, [number for number, part in parts if any(p.kept == "source" for p in part.problems)])
        return self._change(id, {"status": "queued", "error": "", "finished_at": ""}, state="failed")

    def add_chunk(self, id: str, run: str, number: int, part: Part) -> bool:
        """Stores one finished chunk and counts it, so that a later delivery goes on behind it.

        False when the translation has ended or another run has begun.
        """
        return self._change(id, {"characters": 0}, state="running", by=run, chunk=(number, _json(asdict(part))))

    def note_characters(self, id: str, run: str, characters: int) -> bool:
        """Says how much the model has answered of the running part; False as in add_chunk."""
        return self._change(id, {"characters": characters}, state="running", by=run)

    def is_running(self, id: str, run: str) -> bool:
        """Whether this run is the one that is going on."""
        status, current = cast("list[str | None]", self._redis.hmget(_key(id), ["status", "run"]))
        return status == "running" and current == run

    def drop_chunks(self, id: str, numbers: Iterable[int]) -> None:
        """Forgets finished chunks, which are then translated again."""
        if fields := [str(number) for number in numbers]:
            self._redis.hdel(_chunks_key(id), *fields)

    def chunks(self, id: str) -> dict[int, Part]:
        """The finished chunks by their numbers."""
        return {int(number): _part(text) for number, text in _answer(self._redis.hgetall(_chunks_key(id))).items()}

    def _end(self, id: str, status: Status, fields: dict[str, str | int], *, by: str = "") -> bool:
        end: dict[str, str | int] = {"status": status, "error": "", "characters": 0, "finished_at": _now()}
        along = self._at_end(id, status) if self._at_end else None
        ended = self._change(id, end | fields, by=by, retention=self._retention, along=along)
        if along and ended:
            along.sent()
        return ended

    def _change(
        self,
        id: str,
        fields: Mapping[str, str | int],
        *,
        state: Literal["open", "running", "failed"] = "open",
        by: str = "",
        retention: int = 0,
        chunk: tuple[int | str, str] = ("", ""),
        along: Along | None = None,
    ) -> bool:
        pairs = [part for pair in fields.items() for part in pair]
        names = [_key(id), _chunks_key(id), INDEX, ENDED, *(along.keys if along else [])]
        sent = along.arguments if along else [""] * 4
        return bool(self._script(keys=names, args=[state, by, retention, *chunk, *sent, *pairs]))


def changes_channel(id: str) -> str:
    """The channel on which each new version of a translation is told."""
    return f"{_key(id)}:changes"


def _translation(fields: Mapping[str, Any]) -> Translation | None:
    if not fields:
        return None
    values: dict[str, Any] = {name: fields[name] for name in _FIELDS if name in fields}
    values |= {name: fields.get(name) or None for name in _OPTIONAL}
    values |= {name: int(fields.get(name) or 0) for name in ("done", "total", "characters", "version")}
    # Version 0.1 has stored fewer fields.
    values |= {"format": fields.get("format") or "text", "detected": fields.get("detected") == "1"}
    values |= {
        "glossary": json.loads(fields.get("glossary", "{}")),
        "problems": json.loads(fields.get("problems", "[]")),
    }
    return Translation(**values)


def _state(row: Sequence[str | None]) -> State | None:
    status, done, total, characters, error, version = row
    if status is None:
        return None
    return State(
        cast("Status", status), int(done or 0), int(total or 0), int(characters or 0), error or None, int(version or 0)
    )


def _part(text: str) -> Part:
    try:
        value = json.loads(text)
        return Part(value["text"], tuple(Problem(**problem) for problem in value["problems"]), value["of"])
    except (ValueError, TypeError, KeyError):  # of an earlier version, and so of nothing that is known
        return Part("")


def _key(id: str) -> str:
    return f"tandem:translation:{id}"


def _chunks_key(id: str) -> str:
    return f"{_key(id)}:chunks"


def _answer(value: dict[Any, Any] | Awaitable[Any]) -> dict[str, str]:
    """redis-py types every answer as one of a client that may be asynchronous; this one is not."""
    return cast("dict[str, str]", value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
