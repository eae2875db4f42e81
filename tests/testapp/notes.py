"""A small service in one file: clients create notes, and a worker converts them to capitals, word by word."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any, NoReturn
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import dramatiq
import redis
from flask import Blueprint, Response, abort, jsonify, request, url_for
from pydantic import BaseModel

from tandem import (
    Check,
    IdempotencyKey,
    JobRecord,
    QueueFull,
    Settings,
    SettingsBase,
    Snooze,
    Warn,
    Workload,
    connect,
    fields,
    get_broker,
    job,
    openapi,
    sse,
)

INDEX = "tandem:notes"
KEY_SECONDS = 86_400
# KEYS: note. ARGV: words done, and the whole text after the last word.
_WRITE = """
if redis.call('HGET', KEYS[1], 'status') == 'done' then return 0 end
-- First takes away: with its memory full, Redis lets no script begin by adding.
redis.call('HDEL', KEYS[1], 'words')
redis.call('HSET', KEYS[1], 'words', ARGV[1], 'status', ARGV[2] and 'done' or 'running')
if ARGV[2] then
  redis.call('HSET', KEYS[1], 'result', ARGV[2])
  redis.call('HINCRBY', KEYS[1], 'stored', 1)
end
redis.call('PUBLISH', KEYS[1] .. ':changes', redis.call('HINCRBY', KEYS[1], 'version', 1))
return 1
"""


class NoteSettings(SettingsBase):
    """The environment variables of the service."""

    note_max_chars: int = fields.number(100_000, 1, 1_000_000, "Maximum length of a note, in characters.")
    note_word_ms: int = fields.number(0, 0, 60_000, "Duration of one word in the worker, in milliseconds.")
    upstream_url: str = fields.text("", "http://HOST:PORT, or empty for none", "The service that this one depends on.")


class Note(BaseModel):
    """The request body."""

    text: str


class NoteState(BaseModel):
    """The response body."""

    id: str
    status: str
    words: int
    result: str | None
    error: str | None


def notes() -> redis.Redis:
    """Connect to the Redis that stores the notes."""
    return connect(Settings.current(), decode=True)


def key(id_: str) -> str:
    """Return the Redis key of a note."""
    return f"tandem:note:{id_}"


def read(id_: str) -> dict[str, Any] | None:
    """Return a note as JSON for clients, or None if this caller has no such note."""
    found: Any = notes().hgetall(key(id_))
    if not found or found["owner"] != openapi.caller():
        return None
    return _shown(id_, found)


def _shown(id_: str, found: dict[str, str]) -> dict[str, Any]:
    return {
        "id": id_,
        "status": found["status"],
        "words": int(found["words"]),
        "result": found.get("result"),
        "error": found.get("error") or None,
    }


# --- worker ----------------------------------------------------------------------------------------------------------


def give_up(message: dramatiq.Message[Any], error: Exception) -> None:
    """Mark the note as failed, with the reason."""
    notes().hset(key(message.args[0]), mapping={"status": "failed", "error": str(error)})


@dramatiq.actor(queue_name="notes", on_failed=give_up)
def write(id_: str) -> None:
    """Convert a note to capitals; snooze the rest when the worker stops."""
    client = notes()
    store = client.register_script(_WRITE)
    note: Any = client.hgetall(key(id_))
    if note["text"] == "break":
        raise RuntimeError("a note that nobody can write")
    words, before = note["text"].split(), int(note["words"])
    pause = NoteSettings.current().note_word_ms / 1000
    for done in range(before, len(words)):
        if job.should_yield(pause, begun=done > before):
            raise Snooze(f"{done} of {len(words)} words", progress=done)
        time.sleep(pause)
        store(keys=[key(id_)], args=[done + 1])
    store(keys=[key(id_)], args=[len(words), note["text"].upper()])


# --- web -------------------------------------------------------------------------------------------------------------


def _blueprint(platform: Settings) -> Blueprint:
    routes = Blueprint("notes", __name__, static_folder="static", static_url_path="/static/notes")

    @routes.get("/")
    @openapi.public
    def page() -> str:
        style = url_for("notes.static", filename="notes.css")
        return f'<!doctype html><title>Notes</title><link rel="stylesheet" href="{style}"><h1>Notes</h1>'

    @routes.get("/limits")
    def limits() -> Response:
        return jsonify(characters=NoteSettings.current().note_max_chars)

    @routes.post("/notes")
    def create() -> tuple[Response, int, dict[str, str]]:
        text = _text()
        id_ = str(uuid4())
        known = _enqueue(id_, text, platform)
        note = read(known or id_)
        assert note
        return jsonify(note), 202, {"Location": f"/notes/{note['id']}"}

    @routes.get("/notes")
    def show_all() -> Response:
        found = [read(str(id_)) for id_ in notes().zrange(INDEX, 0, 99)]
        return jsonify(notes=[note for note in found if note])

    @routes.get("/notes/<uuid:id_>")
    def show(id_: UUID) -> Response:
        return jsonify(read(str(id_)) or _not_there(id_))

    @routes.get("/notes/<uuid:id_>/text")
    def source(id_: UUID) -> Response:
        _ = read(str(id_)) or _not_there(id_)
        return Response(str(notes().hget(key(str(id_)), "text")), mimetype="text/plain")

    @routes.get("/notes/<uuid:id_>/events")
    def events(id_: UUID) -> Response:
        _ = read(str(id_)) or _not_there(id_)
        (event,) = _newest([str(id_)])
        return sse.respond(TOPIC, str(id_), event or _not_there(id_))

    return routes


def _text() -> str:
    limit = NoteSettings.current().note_max_chars
    request.max_content_length = 12 * limit + 1000  # a character is at most twelve bytes of JSON
    body = request.get_json()
    if not isinstance(body, dict) or not isinstance(body.get("text"), str) or not body["text"].strip():
        abort(422, 'expected a JSON object with "text", such as {"text": "hello"}')
    if len(body["text"]) > limit:
        abort(413, f"the text has {len(body['text']):,} characters; expected at most {limit:,} (NOTE_MAX_CHARS)")
    return str(body["text"])


def _enqueue(id_: str, text: str, platform: Settings) -> str | None:
    """Return the id of an earlier request with the same Idempotency-Key, or None if this note is stored and queued."""
    given = request.headers.get("Idempotency-Key")
    once = IdempotencyKey(f"tandem:request:{openapi.caller()}:{given}", id_, KEY_SECONDS) if given else None
    note: dict[str, str | int] = {"text": text, "status": "queued", "words": 0, "owner": openapi.caller(), "version": 1}
    record = JobRecord(key(id_), note, index=INDEX, member=id_)
    try:
        return get_broker().enqueue_once(write.message(id_), record, once=once, most_waiting=platform.queue_limit)
    except QueueFull as error:
        abort(429, str(error))


def _not_there(id_: UUID) -> NoReturn:
    abort(404, f"note {id_} not found")


def _newest(ids: Sequence[str]) -> list[sse.Event | None]:
    pipeline = notes().pipeline(transaction=False)
    for id_ in ids:
        pipeline.hgetall(key(id_))
    return [_event(id_, found) if found else None for id_, found in zip(ids, pipeline.execute(), strict=True)]


def _event(id_: str, found: dict[str, str]) -> sse.Event:
    note = _shown(id_, found)
    ended = note["status"] in ("done", "failed")
    return sse.Event(int(found["version"]), "end" if ended else "progress", json.dumps(note), last=ended)


TOPIC = sse.Topic(channel=lambda id_: f"{key(id_)}:changes", read=_newest)


# --- the workload ----------------------------------------------------------------------------------------------------


def _api(_platform: Settings) -> openapi.Api:
    limits = {"properties": {"text": {"minLength": 1, "maxLength": NoteSettings.current().note_max_chars}}}
    id_ = openapi.in_path("id", "The note's id.", {"type": "string", "format": "uuid"})
    note = openapi.answer("The note.", NoteState)
    body = openapi.media(openapi.schema(Note), example={"text": "hello"})
    gone = openapi.problem(404, "Note not found.")
    return openapi.Api(
        paths={
            "/notes": {
                "post": openapi.operation(
                    "createNote",
                    "Create a note",
                    {
                        202: note,
                        413: openapi.problem(413, "The text is too long."),
                        422: openapi.problem(422, "No text."),
                    },
                    tag="notes",
                    body={"required": True, "content": {"application/json": body}},
                ),
                "get": openapi.operation("listNotes", "List the notes", {200: openapi.answer("All.")}, tag="notes"),
            },
            "/limits": {
                "get": openapi.operation(
                    "showLimits", "Get the limits", {200: openapi.answer("The limits.")}, tag="notes"
                )
            },
            "/notes/{id}": {
                "get": openapi.operation("showNote", "Get a note", {200: note, 404: gone}, parameters=[id_])
            },
            "/notes/{id}/text": {
                "get": openapi.operation(
                    "readNote",
                    "Get the text of a note",
                    {200: openapi.answer("The text."), 404: gone},
                    parameters=[id_],
                )
            },
            "/notes/{id}/events": {
                "get": openapi.operation(
                    "followNote", "Follow a note", {200: openapi.answer("Its events."), 404: gone}, parameters=[id_]
                )
            },
        },
        models=(Note, NoteState),
        tags={"notes": "Notes that workers write in capitals."},
        schemas={"Note": limits},
    )


def _checks(_platform: Settings) -> Sequence[Check]:
    url = NoteSettings.current().upstream_url
    return (Check("upstream", lambda: _check_upstream(url), Warn(f"{url} responds slowly")),) if url else ()


def _check_upstream(url: str) -> str:
    parts = urlsplit(url)
    try:
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=1.5)
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, HTTPException) as error:
        raise Warn(f"upstream does not answer at {url}: {error}") from error
    return url


workload = Workload(
    name="notes",
    settings=NoteSettings,
    blueprint=_blueprint,
    api=_api,
    checks=_checks,
    max_concurrency=lambda _platform: {"notes": 100},
)
