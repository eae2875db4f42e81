"""What every OpenAPI document has to be, whichever workloads are in it."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask
from jsonschema_rs import Draft202012Validator

from tandem import registry
from tandem.config.settings import Settings

#: What is for people and browsers, besides the operations page.
PAGES = {"/", "/docs", "/openapi.json"}


def routes_of(application: Flask) -> set[tuple[str, str]]:
    """Return path and method of each route of the platform and of the workloads that describe themselves."""
    silent = {workload.name for workload in registry.load(Settings()) if workload.blueprint and not workload.api}
    return {
        (re.sub(r"<[^>]+>", "{}", rule.rule), method.lower())
        for rule in application.url_map.iter_rules()
        if rule.rule not in PAGES and not rule.endpoint.endswith(".static")
        if rule.endpoint.partition(".")[0] not in {*silent, "ops"}
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def described_routes(document: Any) -> set[tuple[str, str]]:
    """Return path and method of each operation in the document."""
    return {
        (re.sub(r"{[^}]+}", "{}", path), method)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }


def validated_examples(document: Any) -> int:
    """Validate each example against its schema; return how many there are."""
    examples = [media for media in _medias(document["paths"]) if "example" in media]
    for media in examples:
        schema = {**media["schema"], "components": document["components"]}
        Draft202012Validator(schema, validate_formats=True).validate(media["example"])
    return len(examples)


def _medias(part: Any) -> list[Any]:
    """Return every object with a schema."""
    if isinstance(part, list):
        return [found for value in part for found in _medias(value)]
    if not isinstance(part, dict):
        return []
    own = [part] if "schema" in part else []
    return own + [found for value in part.values() for found in _medias(value)]
