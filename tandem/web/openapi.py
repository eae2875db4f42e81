"""/openapi.json: the requests and responses of every route, and /docs: the same for people.

Each workload describes its own routes (`Workload.api`); the responses that the platform adds to every view are added
here. The document is created at the first request for it, so other processes spend nothing on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, render_template, request

from tandem.config.settings import Settings
from tandem.openapi.access import public
from tandem.workload import Workload

if TYPE_CHECKING:
    from tandem.openapi.description import Api, Json


def register(app: Flask, settings: Settings, workloads: Iterable[Workload]) -> None:
    """Add /openapi.json and /docs."""
    described = tuple(workload.api for workload in workloads if workload.api)

    @cache
    def document() -> Json:
        return make_document(settings, described)

    routes = Blueprint(
        "docs", __name__, template_folder="templates", static_folder="static", static_url_path="/static/docs"
    )

    @routes.get("/openapi.json")
    @public
    def openapi() -> Response:
        return Response(json.dumps(document(), ensure_ascii=False, indent=1), mimetype="application/json")

    @routes.get("/docs")
    @public
    def docs() -> str:
        from tandem.web import docs_view

        operations = docs_view.operations(document(), request.host_url.rstrip("/"))
        return render_template("docs.html", document=document(), operations=operations)

    app.register_blueprint(routes)


def make_document(settings: Settings, described: Iterable[Callable[[Settings], Api]]) -> Json:
    """Create the whole document."""
    from pydantic.json_schema import models_json_schema

    from tandem.web import openapi_common

    parts = [part(settings) for part in (*described, openapi_common.describe)]
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
            "title": settings.app_name,
            "version": version("tandem"),
            "description": "Errors are problem documents (RFC 9457) that say what is wrong and what was expected.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": name, "description": sentence} for part in parts for name, sentence in part.tags.items()],
        "paths": {
            path: openapi_common.around(item, settings)
            for part in parts
            for path, item in deepcopy(dict(part.paths)).items()
        },
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old.get(key), value) for key, value in new.items()}
    return new
