"""The OpenAPI document describes every route, and real responses match its schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from app.translation.http.answers import Models, TranslationAnswer, TranslationList, TranslationState
from app.translation.tests.unit.test_translations_api import GOOD
from tandem import QueueFull
from tandem.config.settings import Settings
from tandem.web.health import Alive, Readiness
from tandem.web.proxy_configuration import configuration
from tests.unit.openapi_document import described_routes, routes_of, validated_examples
from tests.unit.web.test_protection import Start, start

__all__ = ["start"]


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


def test_every_route_of_a_workload_that_describes_itself_is_in_it_and_nothing_else(
    application: Flask, document: Any
) -> None:
    assert described_routes(document) == routes_of(application)


def test_every_example_has_the_shape_of_its_schema(document: Any) -> None:
    assert validated_examples(document) > 20


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


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (400, "application/json", b'{"text": "Good morning.",\n     }'),
        (413, "application/json", json.dumps(GOOD | {"text": "a" * 1_000_001}).encode()),
        (415, "text/plain", b"Good morning."),
        (422, "application/json", json.dumps(GOOD | {"target": "xx"}).encode()),
    ],
)
def test_the_examples_of_refused_requests_are_real_answers(
    client: FlaskClient, document: Any, status: int, content_type: str, body: bytes
) -> None:
    answer = client.post("/translations", data=body, content_type=content_type)

    assert answer.status_code == status
    assert answer.get_json()["detail"].startswith(example(document, status).removesuffix("…"))


def test_the_example_of_a_full_queue_is_the_brokers_sentence(document: Any) -> None:
    assert example(document, 429) == str(QueueFull(10_000))


def test_the_example_of_a_slow_request_is_the_proxys_sentence(document: Any) -> None:
    assert example(document, 408) in configuration("%(problems)s", Settings())


def example(document: Any, status: int) -> str:
    """Return the sentence of the example of an error of POST /translations."""
    response = document["paths"]["/translations"]["post"]["responses"][str(status)]
    return str(response["content"]["application/problem+json"]["example"]["detail"])


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
