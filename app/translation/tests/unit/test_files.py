"""Files are uploaded as forms and downloaded as files of the same format."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from app.translation.http.files import MAX_NAME, clean_name, disposition, format_of, result_name
from tests.unit.problems import assert_problem

WORDS = b"Good morning.\r\n"
SRT = b"1\n00:00:01,000 --> 00:00:02,000\nGood morning.\n"


@pytest.fixture(autouse=True)
def own_connections(application: Flask) -> None:
    from app.translation import actors

    actors.store.cache_clear()
    actors.ollama.cache_clear()


def send(
    client: FlaskClient,
    data: bytes = WORDS,
    name: str | None = "guide.txt",
    content_type: str | None = None,
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> Any:
    form = {"source": "en", "target": "es"} | fields
    file = {} if name is None else {"file": (io.BytesIO(data), name, content_type)}
    return client.post("/translations", data=form | file, content_type="multipart/form-data", headers=headers)


def test_a_file_is_accepted_with_its_name_and_format(client: FlaskClient, redis_client: redis.Redis) -> None:
    answer = send(client, b"# Title\r\n", "../docs/guide.md", model="apertium")

    assert answer.status_code == 202
    body = answer.get_json()
    assert (body["file_name"], body["format"], body["source"], body["target"]) == ("guide.md", "markdown", "en", "es")
    assert redis_client.hget(f"tandem:translation:{body['id']}", "text") == "# Title\r\n"


@pytest.mark.parametrize(
    ("name", "content_type", "fields", "format"),
    [
        ("a.txt", None, {}, "text"),
        ("a.MARKDOWN", "application/octet-stream", {}, "markdown"),
        ("a.md", "text/plain", {}, "markdown"),
        ("README", "text/markdown", {}, "markdown"),
        ("notes.log", "text/plain; charset=utf-8", {}, "text"),
        ("a.md", None, {"format": "text"}, "text"),
        ("a", "application/octet-stream", {"format": "text"}, "text"),
    ],
)
def test_the_format_is_the_forms_or_the_names_or_the_content_types(
    client: FlaskClient, name: str, content_type: str | None, fields: dict[str, Any], format: str
) -> None:
    assert send(client, name=name, content_type=content_type, **fields).get_json()["format"] == format


def test_all_fields_of_a_request_can_be_in_the_form(client: FlaskClient, redis_client: redis.Redis) -> None:
    answer = send(client, model="", callback_url="", glossary='{"morning": "mañana"}')

    assert answer.status_code == 202
    record = redis_client.hgetall(f"tandem:translation:{answer.get_json()['id']}")
    assert json.loads(record["glossary"]) == {"morning": "mañana"}


BAD_FORMS: list[tuple[dict[str, Any], int, str]] = [
    ({"name": None}, 422, "exactly one file, in the field file"),
    ({"other": (io.BytesIO(b"x"), "b.txt")}, 422, "exactly one file"),
    ({"data": b""}, 422, "the file is blank"),
    ({"data": b"\xef\xbb\xbf \n"}, 422, "the file is blank"),
    ({"data": b"caf\xe9"}, 422, "the file is not valid UTF-8 (byte 4 is invalid)"),
    ({"data": b"\xff\xfea\x00b"}, 422, "the file is not valid UTF-16 (byte 5 is invalid)"),
    ({"data": "I have two cats.".encode("utf-16-le")}, 422, "the file is in UTF-16LE without a byte order mark: save"),
    ({"data": b"\x89PNG\r\n\x1a\n"}, 422, "the file is not valid UTF-8 (byte 1 is invalid)"),
    (
        {"name": "a.docx"},
        422,
        "name ending in .txt, .md, .markdown, .srt, .vtt, .json, .po, .pot, .properties, .strings, or the field format",
    ),
    (
        {"name": "a.docx", "format": "docx"},
        422,
        "format is not a known format: expected one of text, markdown, srt, vtt, json, po, properties, strings",
    ),
    ({"target": ""}, 422, "target is missing"),
    ({"target": ["es", "fr"]}, 422, "target occurs 2 times"),
    ({"text": "Hi."}, 422, "text is not a known field: expected file and"),
    ({"speed": "3"}, 422, "speed is not a known field: expected file and"),
    ({"glossary": "{"}, 422, "glossary must be a JSON object"),
    ({"glossary": "[" * 100_000}, 422, "glossary must be a JSON object"),
    ({"glossary": "[1]"}, 422, "glossary must be an object"),
    (
        {"glossary": "x" * 3_000_001},
        413,
        "the form has too many parts or too long a field: expected at most 20 parts",
    ),
    (
        {f"f{number}": "x" for number in range(30)},
        413,
        "the form has too many parts or too long a field: expected at most 20 parts",
    ),
    ({"data": b"x" * 1_000_001}, 413, "text has 1,000,001 characters: at most 1,000,000 are allowed"),
    (
        {"data": b"x" * 8_000_000},
        413,
        "the body is too large",
    ),
    ({"data": b"Good morning.", "name": "a.srt"}, 422, "line 1 of the SRT is 'Good morning.'"),
    ({"data": SRT + b"\n2\nHello.", "name": "a.srt"}, 422, "line 6 of the SRT is 'Hello.'"),
    ({"data": b'{"a": }', "name": "a.json"}, 422, "line 1, column 7 of the JSON is invalid"),
]


def str_only(value: object) -> str:
    """Return a test id without the parts that differ between processes."""
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("sent", "status", "sentence"), BAD_FORMS, ids=str_only)
def test_an_invalid_form_is_refused_with_the_reason_and_changes_nothing(
    client: FlaskClient, redis_client: redis.Redis, sent: dict[str, Any], status: int, sentence: str
) -> None:
    assert_problem(send(client, **sent), status, sentence)
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize(
    "body", [b"", b"x", b"--x\r\n", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nHi.']
)
def test_a_broken_form_is_refused(client: FlaskClient, redis_client: redis.Redis, body: bytes) -> None:
    answer = client.post("/translations", data=body, content_type="multipart/form-data; boundary=x")
    assert_problem(answer, 422, "exactly one file")
    assert redis_client.dbsize() == 0


def test_a_text_of_the_wrong_format_is_refused_as_well(client: FlaskClient) -> None:
    asked = {"text": "Hi.", "source": "en", "target": "es", "format": "json"}
    assert_problem(client.post("/translations", json=asked), 422, "line 1, column 1 of the JSON is invalid")


def test_a_file_of_exactly_the_limit_is_accepted(client: FlaskClient) -> None:
    assert send(client, ("😀" * 1_000_000).encode()).status_code == 202
    assert send(client, ("é" * 1_000_000).encode("utf-16")).status_code == 202


def test_a_repeated_upload_starts_no_new_translation_and_another_one_needs_another_key(
    client: FlaskClient, redis_client: redis.Redis
) -> None:
    key = {"Idempotency-Key": "one"}
    first = send(client, headers=key).get_json()

    assert send(client, headers=key).get_json()["id"] == first["id"]
    for changed in ({"data": b"Good evening."}, {"name": "other.txt"}, {"target": "fr"}, {"glossary": '{"a": "b"}'}):
        assert_problem(send(client, headers=key, **changed), 422, "was used for another request")
    assert redis_client.llen("dramatiq:translations") == 1


def finish(id: str, text: str) -> None:
    from app.translation import actors

    run = actors.store().start(id, total=1)
    assert run and actors.store().finish(id, run, text)


@pytest.mark.parametrize(
    ("name", "data", "content_type", "result"),
    [
        ("guide.txt", WORDS, "text/plain; charset=utf-8", "guide.es.txt"),
        ("guide.en.md", b"# Title", "text/markdown; charset=utf-8", "guide.es.md"),
        ("film.srt", b"\xef\xbb\xbf" + SRT, "application/x-subrip", "film.es.srt"),
        ("texts.json", b'{"a": "Good"}', "application/json", "texts.es.json"),
    ],
)
def test_source_and_result_are_files_of_the_kind_that_was_sent(
    client: FlaskClient, name: str, data: bytes, content_type: str, result: str
) -> None:
    url = send(client, data, name).headers["Location"]

    source = client.get(f"{url}/source")
    assert (source.status_code, source.content_type, source.data) == (200, content_type, data)
    assert source.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert_problem(client.get(f"{url}/result"), 409, "not done yet: it is queued")
    finish(url.rpartition("/")[2], "¡Buenos días!\r\n")
    answer = client.get(f"{url}/result")
    assert (answer.status_code, answer.content_type) == (200, content_type)
    assert answer.data == "¡Buenos días!\r\n".encode()
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{result}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_text_without_a_file_has_files_too(client: FlaskClient) -> None:
    body = client.post("/translations", json={"text": "Good.", "source": "en", "target": "es"}).get_json()
    finish(body["id"], "Bueno.")

    source = client.get(f"/translations/{body['id']}/source").headers["Content-Disposition"]
    result = client.get(f"/translations/{body['id']}/result").headers["Content-Disposition"]
    assert source == f'attachment; filename="translation-{body["id"][:8]}.txt"'
    assert result == f'attachment; filename="translation-{body["id"][:8]}.es.txt"'


def test_a_failed_translation_has_no_result(client: FlaskClient) -> None:
    from app.translation import actors

    url = send(client).headers["Location"]
    actors.store().fail(url.rpartition("/")[2], "the model broke off")

    assert_problem(client.get(f"{url}/result"), 410, "the translation has no result: it is failed")
    assert client.get(f"{url}/source").data == WORDS
    missing = "/translations/6f1ed002-ab5d-42cf-868e-5a0e1cc1ce51"
    assert_problem(client.get(f"{missing}/source"), 404, "not found: it does not exist or has expired")
    assert_problem(client.get(f"{missing}/result"), 404, "not found: it does not exist or has expired")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("guide.md", "guide.md"), ("/etc/passwd", "passwd"), ("..\\..\\a.txt", "a.txt"), ("..", None), ("", None),
        ("a\r\nSet-Cookie: x\0.txt", "aSet-Cookie: x.txt"), ("‮txt.exe", "txt.exe"), ("  a   b .md", "a b .md"),
        ("x" * 500 + ".srt", "x" * (MAX_NAME - 4) + ".srt"), (".gitignore", "gitignore"), ("guía.md", "guía.md"),
    ],
)  # fmt: skip
def test_file_names_are_made_safe(sent: str, kept: str | None) -> None:
    assert clean_name(sent) == kept


@given(st.text(max_size=300))
def test_no_name_can_break_out_of_its_header(sent: str) -> None:
    name = clean_name(sent)
    if name is None:
        return
    assert len(name) <= MAX_NAME and not set(name) & set("/\\\r\n\0")
    header = disposition(result_name(name, "0" * 36, "text", source=None, target="es"))
    assert header.isascii() and header.isprintable()
    assert parse_options_header(header)[0] == "attachment"
    saved = parse_options_header(disposition(name))[1]["filename"]
    assert saved in (name, disposition(name).split('"')[1])


def test_a_name_with_accents_is_sent_in_both_ways() -> None:
    header = disposition("guía “1”.es.md")
    assert header == "attachment; filename=\"guia 1.es.md\"; filename*=UTF-8''gu%C3%ADa%20%E2%80%9C1%E2%80%9D.es.md"
    assert parse_options_header(header) == ("attachment", {"filename": "guía “1”.es.md"})


@pytest.mark.parametrize(
    ("name", "source", "result"),
    [
        ("guide.md", None, "guide.es.md"), ("guide.en.md", "en", "guide.es.md"),
        ("guide.fr.md", "en", "guide.fr.es.md"), ("README", None, "README.es.txt"),
        (None, None, "translation-00000000.es.txt"), ("en.json", "en", "en.es.json"),
    ],
)  # fmt: skip
def test_the_result_is_named_after_the_source(name: str | None, source: str | None, result: str) -> None:
    assert result_name(name, "0" * 36, "text", source=source, target="es") == result


def test_a_known_extension_determines_the_format_in_any_case() -> None:
    assert [format_of(name) for name in ("a.TXT", "a.b.Md", "x.srt", ".json.json")] == [
        "text",
        "markdown",
        "srt",
        "json",
    ]
