"""The document says what the routes do: every route is in it, and real answers have the shapes that it promises."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from app import workloads
from app.translation.http.answers import Models, TranslationAnswer, TranslationList, TranslationState
from app.web.health import Alive, Readiness
from tests.unit.test_protection import TOKEN, Start, start
from tests.unit.translation.test_translations_api import GOOD

__all__ = ["start"]

ROOT = Path(__file__).parents[2]
#: What is for people and browsers.
PAGES = {"/", "/docs", "/openapi.json"}


@pytest.fixture
def document(client: FlaskClient) -> Any:
    return client.get("/openapi.json").get_json()


@pytest.fixture(autouse=True)
def own_connections(application: Flask) -> None:
    from app.translation import actors

    actors.store.cache_clear()


def test_it_is_valid_openapi_3_1(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_its_version_is_the_projects(document: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert document["info"]["version"] == project["version"]


def test_every_route_of_a_workload_that_describes_itself_is_in_it_and_nothing_else(
    application: Flask, document: Any
) -> None:
    silent = {workload.name for workload in workloads.load() if workload.blueprint and not workload.api}
    routes = {
        (re.sub(r"<[^>]+>", "{}", rule.rule), method.lower())
        for rule in application.url_map.iter_rules()
        if rule.rule not in PAGES and not rule.endpoint.endswith(".static")
        if rule.endpoint.partition(".")[0] not in silent
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (re.sub(r"{[^}]+}", "{}", path), method)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert described == routes


def test_every_example_has_the_shape_of_its_schema(document: Any) -> None:
    looked_at = 0
    for media in medias(document["paths"]):
        if "example" in media:
            schema = {**media["schema"], "components": document["components"]}
            Draft202012Validator(schema, validate_formats=True).validate(media["example"])
            looked_at += 1
    assert looked_at > 20


def medias(part: Any) -> list[Any]:
    """Everything with a schema."""
    if isinstance(part, list):
        return [found for value in part for found in medias(value)]
    if not isinstance(part, dict):
        return []
    own = [part] if "schema" in part else []
    return own + [found for value in part.values() for found in medias(value)]


def test_the_answers_have_the_shapes_that_it_promises(client: FlaskClient) -> None:
    translation = client.post("/translations", json=GOOD).get_json()
    gone = client.delete(f"/translations/{translation['id']}").get_json()
    state = {name: translation[name] for name in ("status", "progress", "error")}

    shapes: list[tuple[type[BaseModel], Any]] = [
        (TranslationAnswer, translation),
        (TranslationAnswer, gone),
        (TranslationState, state),
        (TranslationList, client.get("/translations").get_json()),
        (Models, client.get("/models").get_json()),
        (Alive, client.get("/healthz").get_json()),
        (Readiness, client.get("/readyz").get_json()),
    ]
    for shape, answer in shapes:
        assert answer
        assert shape.model_validate_json(json.dumps(answer), extra="forbid")


def test_a_finished_translation_has_the_promised_shape(client: FlaskClient) -> None:
    from app.translation import actors

    store = actors.store()
    id_ = client.post("/translations", json=GOOD).get_json()["id"]
    run = store.start(id_, total=1)
    assert run
    problem = {"part": 0, "kind": "echo", "detail": "it says the same", "kept": "answer", "source": "Good"}
    store.finish(id_, run, "Buenos días.", [problem])

    answer = client.get(f"/translations/{id_}").get_json()

    assert TranslationAnswer.model_validate_json(json.dumps(answer), extra="forbid").status == "done"


def test_with_a_token_it_says_which_operations_need_it(start: Start) -> None:
    document = start(API_TOKEN=TOKEN).get("/openapi.json").get_json()

    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            is_open = path in ("/healthz", "/readyz")
            assert operation.get("security") == ([] if is_open else [{"token": []}])
            assert ("401" in operation["responses"]) is not is_open


def test_the_limits_are_those_of_the_settings(start: Start) -> None:
    document = start(TRANSLATION_MAX_CHARS="1234", RATE_LIMIT="7").get("/openapi.json").get_json()

    assert document["components"]["schemas"]["TranslationRequest"]["properties"]["text"]["maxLength"] == 1234
    assert "429" in document["paths"]["/translations/{id}"]["delete"]["responses"]


def test_the_page_shows_every_operation_with_a_request_to_try(client: FlaskClient, document: Any) -> None:
    page = client.get("/docs").text

    for path, item in document["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in (item[method] for method in item if method != "parameters"):
            assert f'id="{operation["operationId"]}"' in page
            assert operation["summary"] in page
    assert "curl http://localhost/translations -H &#39;Content-Type: application/json&#39; -d" in page
    assert "curl http://localhost/translations -F file=@guide.md -F target=es" in page
    assert "at most 1,000,000 characters" in page
    assert "`" not in page


def test_the_page_asks_nobody_else_and_runs_nothing(client: FlaskClient) -> None:
    page = client.get("/docs").text
    assert "<script" not in page and "style=" not in page
    assert not [address for address in re.findall(r'(?:src|href)="([^"]*)"', page) if "//" in address]


def test_a_workload_without_a_description_adds_nothing(application: Flask) -> None:
    from app import settings
    from app.api.description import Api
    from app.web.openapi import make_document

    described: list[Callable[[settings.Settings], Api]] = []
    assert set(make_document(settings.current(), described)["paths"]) == {"/healthz", "/readyz"}
