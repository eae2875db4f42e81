"""/openapi.json: what every route takes and answers, and /docs: the same for people.

Each workload describes its own routes (`Workload.api`); what the house does around every view is added to them here.
The document is made at the first request for it, so a process that nobody asks spends nothing on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, render_template, request

from app.api.access import open_to_all
from app.queueing.workload import Workload
from app.settings import Settings

if TYPE_CHECKING:
    from app.api.description import Api, Json

# That of pyproject.toml, which is not in the image.
VERSION = "0.1.0"


def register(app: Flask, settings: Settings, workloads: Iterable[Workload]) -> None:
    """Adds /openapi.json and /docs."""
    described = tuple(workload.api for workload in workloads if workload.api)

    @cache
    def document() -> Json:
        return make_document(settings, described)

    routes = Blueprint(
        "docs", __name__, template_folder="templates", static_folder="static", static_url_path="/static/docs"
    )

    @routes.get("/openapi.json")
    @open_to_all
    def openapi() -> Response:
        return Response(json.dumps(document(), ensure_ascii=False, indent=1), mimetype="application/json")

    @routes.get("/docs")
    @open_to_all
    def docs() -> str:
        from app.web import reading

        operations = reading.operations(document(), request.host_url.rstrip("/"))
        return render_template("docs.html", document=document(), operations=operations)

    app.register_blueprint(routes)


def make_document(settings: Settings, described: Iterable[Callable[[Settings], Api]]) -> Json:
    """The whole document."""
    from pydantic.json_schema import models_json_schema

    from app.web import own_api

    parts = [part(settings) for part in (*described, own_api.describe)]
    models = {model for part in parts for model in part.models}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, made = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    schemas: Json = made["$defs"]
    for part in parts:
        for name, change in part.schemas.items():
            schemas[name] = _merged(schemas[name], change)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tandem",
            "version": VERSION,
            "description": "Errors are problem documents (RFC 9457) that say what is wrong and what is allowed.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": name, "description": sentence} for part in parts for name, sentence in part.tags.items()],
        "paths": {
            path: own_api.around(item, settings) for part in parts for path, item in deepcopy(dict(part.paths)).items()
        },
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old.get(key), value) for key, value in new.items()}
    return new
