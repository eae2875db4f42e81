"""Translations in Redis.

tandem:translation:<id>          hash: the fields of Translation, run and member; long texts are packed
tandem:translation:<id>:chunks   hash: number of a chunk -> packed JSON of its translation, until the whole is done
tandem:translation:<id>:changes  channel: the number of each new version of the record
tandem:translations              sorted set: <created, ms>:<id> of the translations without an owner, by name
tandem:translations:of:<owner>   sorted set: <created, ms>:<id>:<owner> of the translations of a named token
tandem:translations:ended        sorted set: the same names of ended translations, by the second when they expire

stored.py counts the bytes of all translations.

An ended translation is stored for `retention` seconds; one that has not ended never expires.
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

from app.translation.packing import pack, unpack
from app.translation.parts import Part, Problem
from app.translation.request import Format, TranslationRequest
from app.translation.stored import BYTES, COUNTING, Stored, quota
from tandem import ENQUEUE, JobRecord, OutboxMessage

Status = Literal["queued", "running", "done", "failed", "cancelled"]

INDEX = "tandem:translations"
ENDED = "tandem:translations:ended"

_CHANGE = ENQUEUE + COUNTING + (Path(__file__).parent / "scripts" / "change.lua").read_text()
_OPTIONAL = (
    "source",
    "translation",
    "error",
    "started_at",
    "finished_at",
    "file_name",
    "callback_url",
    "waiting_since",
)
_STATE = ("status", "done", "total", "characters", "error", "version")


@dataclass(frozen=True)
class State:
    """The status and progress of a translation. characters: received so far for the part in progress."""

    status: Status
    done: int
    total: int
    characters: int
    error: str | None
    version: int

    @property
    def ended(self) -> bool:
        """Return whether the translation has reached a final status."""
        return self.status in ("done", "failed", "cancelled")

    def public(self) -> dict[str, Any]:
        """Return the JSON of an event."""
        progress = {"done": self.done, "total": self.total, "characters": self.characters}
        return {"status": self.status, "progress": progress, "error": self.error}


@dataclass(frozen=True)
class Translation:
    """A stored translation; times are ISO 8601 in UTC, None until they are set.

    waiting_since: since when it has been waiting for its model without finishing a part.
    """

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
    owner: str = ""
    glossary: Mapping[str, str] = field(default_factory=dict)
    callback_url: str | None = None
    done: int = 0
    total: int = 0
    characters: int = 0
    version: int = 0
    translation: str | None = None
    problems: Sequence[Mapping[str, Any]] = ()
    untranslated: Sequence[Mapping[str, Any]] = ()
    error: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    waiting_since: str | None = None

    @property
    def state(self) -> State:
        """Return the status and progress."""
        return State(self.status, self.done, self.total, self.characters, self.error, self.version)

    @property
    def ended(self) -> bool:
        """Return whether the translation has reached a final status."""
        return self.state.ended

    def summary(self) -> dict[str, Any]:
        """Return the JSON of an entry in a list, without the texts."""
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
        """Return the JSON for clients."""
        return self.summary() | {
            "translation": self.translation,
            "problems": list(self.problems),
            "untranslated": list(self.untranslated),
        }


_FIELDS = tuple(field.name for field in fields(Translation))
_WITHOUT_TEXTS = tuple(
    name for name in _FIELDS if name not in ("text", "translation", "glossary", "problems", "untranslated")
)


class Store:
    """Translations in the Redis of `client`, which has to decode its answers.

    at_end: creates the message that is sent in the same transaction in which a translation with a callback_url ends,
    from its id and final status. max_bytes: of all translations; 0: no limit.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        retention: int,
        max_bytes: int = 0,
        at_end: Callable[[str, Status], OutboxMessage] | None = None,
    ) -> None:
        self._redis = client
        self._retention = retention
        self._most_bytes = max_bytes
        self.stored = Stored(client, (INDEX, ENDED), _key(""))
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
        owner: str = "",
    ) -> Translation:
        """Create a queued translation with a new id, without storing it."""
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
            owner=owner,
            glossary=request.glossary,
            callback_url=request.callback_url,
        )

    def record(self, translation: Translation) -> JobRecord:
        """Return the record of a new translation."""
        fields = {name: value for name, value in vars(translation).items() if value is not None}
        fields |= {"detected": int(translation.detected), "glossary": pack(_json(translation.glossary))}
        fields |= {"text": pack(translation.text), "problems": "[]", "untranslated": "[]"}
        created = round(datetime.fromisoformat(translation.created_at).timestamp() * 1000)
        owner = translation.owner
        member = f"{created:013}:{translation.id}{_suffix(owner)}"
        takes = quota(translation.id, fields, self._most_bytes)
        return JobRecord(_key(translation.id), fields | {"member": member}, _index(owner), member, takes)

    def get(self, id: str) -> Translation | None:
        """Return the translation, or None if it does not exist."""
        return _translation(_answer(self._redis.hgetall(_key(id))))

    def state(self, id: str) -> State | None:
        """Return the state of a translation, or None if it does not exist."""
        return self.states([id])[0]

    def states(self, ids: Sequence[str]) -> list[State | None]:
        """Return the states of these translations in order, with one round trip."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for id in ids:
                pipeline.hmget(_key(id), _STATE)
            rows: list[list[str | None]] = pipeline.execute()
        return [_state(row) for row in rows]

    def owner(self, id: str) -> str | None:
        """Return the owner, "" if it has none; None if the translation does not exist."""
        known, owner = cast("list[str | None]", self._redis.hmget(_key(id), ["id", "owner"]))
        return None if known is None else owner or ""

    def page(self, *, limit: int, after: str | None = None, owner: str = "") -> tuple[list[Translation], str | None]:
        """Return the owner's newest translations, or those `after` a cursor, and the next page's cursor, if any.

        The translations lack their texts, which may be long.
        """
        start = f"({after}{_suffix(owner)}" if after else "+"
        members = cast("list[str]", self._redis.zrevrangebylex(_index(owner), start, "-", start=0, num=limit + 1))
        with self._redis.pipeline(transaction=False) as pipeline:
            for member in members[:limit]:
                pipeline.hmget(_key(member.split(":")[1]), _WITHOUT_TEXTS)
            rows = [dict(zip(_WITHOUT_TEXTS, row, strict=True)) for row in pipeline.execute()]
        found = [translation for row in rows if row["id"] and (translation := _translation({"text": "", **row}))]
        return found, members[limit - 1].removesuffix(_suffix(owner)) if len(members) > limit else None

    def without_texts(self, id: str) -> Translation | None:
        """Return the translation without its texts, which may be long."""
        row = cast("list[str | None]", self._redis.hmget(_key(id), _WITHOUT_TEXTS))
        fields = dict(zip(_WITHOUT_TEXTS, row, strict=True))
        return _translation({"text": "", **fields}) if fields["id"] else None

    def snooze(self, translation: Translation, reason: str, *, since: str, run: str = "") -> None:
        """Mark a translation as queued until its model is available; publish only changes. run: as in `requeue`."""
        if (translation.status, translation.error, translation.waiting_since or "") != ("queued", reason, since):
            waits: dict[str, str | int] = {"status": "queued", "error": reason, "characters": 0, "waiting_since": since}
            self._change(translation.id, waits, by=run)

    def note_waiting(self, translation: Translation, reason: str, *, since: str, run: str) -> None:
        """Store why a running translation waits, or that it no longer does; publish only changes."""
        if (translation.error, translation.waiting_since or "") != (reason, since):
            self._change(translation.id, {"error": reason, "waiting_since": since}, by=run)

    def start(self, id: str, *, total: int, waited: bool = False) -> str | None:
        """Mark a translation as running and return the id of this run; None if it has ended or does not exist.

        waited: whether its error is the reason of a wait, to be cleared. Only the latest run can change the
        translation: an earlier one, whose worker was wrongly considered dead, cannot.
        """
        run = uuid4().hex
        began: dict[str, str | int] = {"status": "running", "total": total, "characters": 0, "run": run}
        began["started_at"] = _now()
        if waited:
            began["error"] = ""
        return run if self._change(id, began) else None

    def requeue(self, id: str, run: str, *, error: str = "") -> bool:
        """Mark a translation as queued again, after an attempt that failed with `error` or made progress."""
        return self._change(id, {"status": "queued", "error": error, "characters": 0}, by=run)

    def finish(
        self,
        id: str,
        run: str,
        translation: str,
        problems: Iterable[Mapping[str, Any]] = (),
        untranslated: Iterable[Mapping[str, Any]] = (),
    ) -> bool:
        """Store the result, once; False if the translation has already ended or another run has started."""
        result: dict[str, str | int] = {
            "translation": pack(translation),
            "problems": pack(_json(list(problems))),
            "untranslated": pack(_json(list(untranslated))),
        }
        return self._end(id, "done", result, by=run)

    def fail(self, id: str, error: str, *, for_good: bool = False) -> bool:
        """End a translation without a result; False if it has already ended. for_good: it cannot be retried."""
        return self._end(id, "failed", {"error": error}, drop=for_good)

    def cancel(self, id: str) -> bool:
        """Cancel a translation; False if it has already ended."""
        return self._end(id, "cancelled", {}, drop=True)

    def drop(self, id: str) -> bool:
        """Free the memory of a failed translation, which then cannot be retried; False if it has not failed."""
        return self._change(id, {}, state="failed", drop=True)

    def reopen(self, id: str) -> bool:
        """Queue a failed translation again, without its untranslated parts; False if it has not failed."""
        state = self.state(id)
        if not state or state.status != "failed":
            return False
        parts = self.chunks(id).items()
        self.drop_chunks(id, [number for number, part in parts if any(p.kept == "source" for p in part.problems)])
        again: dict[str, str | int] = {"status": "queued", "error": "", "finished_at": "", "waiting_since": ""}
        return self._change(id, again, state="failed")

    def add_chunk(self, id: str, run: str, number: int, part: Part) -> bool:
        """Store a finished chunk and count it, so that a later delivery resumes after it.

        False if the translation has ended or another run has started.
        """
        fields: dict[str, str | int] = {"characters": 0, "waiting_since": ""}
        return self._change(id, fields, state="running", by=run, chunk=(number, pack(_json(asdict(part)))))

    def note_characters(self, id: str, run: str, characters: int) -> bool:
        """Store how many characters of the part in progress have arrived; False as in add_chunk."""
        return self._change(id, {"characters": characters}, state="running", by=run)

    def is_running(self, id: str, run: str) -> bool:
        """Return whether this is the current run of a running translation."""
        status, current = cast("list[str | None]", self._redis.hmget(_key(id), ["status", "run"]))
        return status == "running" and current == run

    def drop_chunks(self, id: str, numbers: Iterable[int]) -> None:
        """Delete finished chunks, so that they are translated again."""
        if fields := [str(number) for number in numbers]:
            self._redis.hdel(_chunks_key(id), *fields)
            self.stored.count([id])

    def chunks(self, id: str) -> dict[int, Part]:
        """Return the finished chunks by number."""
        return {int(number): _part(text) for number, text in _answer(self._redis.hgetall(_chunks_key(id))).items()}

    def _end(self, id: str, status: Status, fields: dict[str, str | int], *, by: str = "", drop: bool = False) -> bool:
        end: dict[str, str | int] = {"status": status, "error": "", "characters": 0, "finished_at": _now()}
        message = self._at_end(id, status) if self._at_end else None
        ended = self._change(id, end | fields, by=by, retention=self._retention, drop=drop, message=message)
        if message and ended:
            message.sent()
        return ended

    def _change(
        self,
        id: str,
        fields: Mapping[str, str | int],
        *,
        state: Literal["open", "running", "failed"] = "open",
        by: str = "",
        retention: int = 0,
        drop: bool = False,
        chunk: tuple[int | str, str] = ("", ""),
        message: OutboxMessage | None = None,
    ) -> bool:
        pairs = [part for pair in fields.items() for part in pair]
        names = [_key(id), _chunks_key(id), INDEX, ENDED, BYTES, *(message.keys if message else [])]
        sent = message.arguments if message else [""] * 4
        return bool(self._script(keys=names, args=[state, by, retention, int(drop), *chunk, *sent, *pairs]))


def changes_channel(id: str) -> str:
    """Return the channel on which each new version of a translation is published."""
    return f"{_key(id)}:changes"


def _translation(fields: Mapping[str, Any]) -> Translation | None:
    if not fields:
        return None
    values: dict[str, Any] = {name: fields[name] for name in _FIELDS if name in fields}
    values |= {name: fields.get(name) or None for name in _OPTIONAL}
    values |= {name: int(fields.get(name) or 0) for name in ("done", "total", "characters", "version")}
    # Version 0.1 stored fewer fields, and no owner.
    values |= {"format": fields.get("format") or "text", "detected": fields.get("detected") == "1"}
    # The text of a cancelled translation was deleted.
    values |= {"owner": fields.get("owner") or "", "text": unpack(fields.get("text") or "")}
    values["translation"] = values["translation"] and unpack(values["translation"])
    values |= {
        "glossary": json.loads(unpack(fields.get("glossary", "{}"))),
        "problems": json.loads(unpack(fields.get("problems", "[]"))),
        "untranslated": json.loads(unpack(fields.get("untranslated", "[]"))),
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
        value = json.loads(unpack(text))
        return Part(value["text"], tuple(Problem(**problem) for problem in value["problems"]), value["of"])
    except (ValueError, TypeError, KeyError):  # of an earlier version, which matches no chunk
        return Part("")


def _index(owner: str) -> str:
    return f"{INDEX}:of:{owner}" if owner else INDEX


def _suffix(owner: str) -> str:
    """Return the suffix of the id in the indexes, by which change.lua finds the owner's index."""
    return f":{owner}" if owner else ""


def _key(id: str) -> str:
    return f"tandem:translation:{id}"


def _chunks_key(id: str) -> str:
    return f"{_key(id)}:chunks"


def _answer(value: dict[Any, Any] | Awaitable[Any]) -> dict[str, str]:
    """Cast a response: redis-py types it as possibly asynchronous, but this client is not."""
    return cast("dict[str, str]", value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
