"""The document says what the routes do: every route is in it, and real answers have the shapes that it promises."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from tandem.config.settings import Settings
from tandem.web.health import Alive, Readiness
from tests.paths import ROOT
from tests.testapp.notes import NoteState
from tests.unit.openapi_document import described_routes, routes_of, validated_examples
from tests.unit.web.test_protection import GOOD, TOKEN, Start, start

__all__ = ["start"]


@pytest.fixture
def document(client: FlaskClient) -> Any:
    return client.get("/openapi.json").get_json()


def test_it_is_valid_openapi_3_1(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_its_version_is_the_projects(document: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert document["info"]["version"] == project["version"]


def test_every_route_of_a_workload_that_describes_itself_is_in_it_and_nothing_else(
    application: Flask, document: Any
) -> None:
    assert described_routes(document) == routes_of(application)


def test_every_example_has_the_shape_of_its_schema(document: Any) -> None:
    assert validated_examples(document) > 5


def test_the_answers_have_the_shapes_that_it_promises(client: FlaskClient) -> None:
    note = client.post("/notes", json=GOOD).get_json()
    shapes: list[tuple[type[BaseModel], Any]] = [
        (NoteState, note),
        (Alive, client.get("/healthz").get_json()),
        (Readiness, client.get("/readyz").get_json()),
    ]
    for shape, answer in shapes:
        assert answer
        assert shape.model_validate_json(json.dumps(answer), extra="forbid")


def test_with_a_token_it_says_which_operations_need_it(start: Start) -> None:
    document = start(API_TOKEN=TOKEN).get("/openapi.json").get_json()

    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            is_public = path in ("/healthz", "/readyz")
            assert operation.get("security") == ([] if is_public else [{"token": []}])
            assert ("401" in operation["responses"]) is not is_public


def test_the_limits_are_those_of_the_settings(start: Start) -> None:
    document = start(NOTE_MAX_CHARS="1234", RATE_LIMIT="7").get("/openapi.json").get_json()

    assert document["components"]["schemas"]["Note"]["properties"]["text"]["maxLength"] == 1234
    assert "429" in document["paths"]["/notes"]["post"]["responses"]


def test_the_page_shows_every_operation_with_a_request_to_try(client: FlaskClient, document: Any) -> None:
    page = client.get("/docs").text

    for path, item in document["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in (item[method] for method in item if method != "parameters"):
            assert f'id="{operation["operationId"]}"' in page
            assert operation["summary"] in page
    assert "curl http://localhost/notes -H &#39;Content-Type: application/json&#39; -d" in page
    assert "at most 100,000 characters" in page
    assert "`" not in page


def test_the_page_loads_nothing_external_and_runs_no_script(client: FlaskClient) -> None:
    page = client.get("/docs").text
    assert "<script" not in page and "style=" not in page
    assert not [address for address in re.findall(r'(?:src|href)="([^"]*)"', page) if "//" in address]


def test_a_workload_without_a_description_adds_nothing(application: Flask) -> None:
    from tandem.openapi.description import Api
    from tandem.web.openapi import make_document

    described: list[Callable[[Settings], Api]] = []
    assert set(make_document(Settings(), described)["paths"]) == {
        "/healthz",
        "/metrics",
        "/metrics/dramatiq",
        "/readyz",
    }
