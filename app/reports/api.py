"""The OpenAPI description of the routes."""

from __future__ import annotations

from app.reports.answers import DEFAULT_LIMIT, MAX_LIMIT, ReportAnswer, Reports, VisitAnswer
from app.reports.periods import MONTHS
from app.reports.visits import NewVisit
from tandem.openapi import Api, Json, answer, header, in_path, in_query, media, operation, problem, schema

_VISIT: Json = {"id": 7, "page": "/prices", "at": "2026-03-31T16:30:00.000Z", "note": None}
_REPORT: Json = {
    "period": "quarterly",
    "start": "2026-01-01",
    "visits": 1041,
    "pages": 12,
    "recalculated_at": "2026-03-31T16:30:00.211Z",
}
_DAY: Json = {"type": "string", "format": "date"}
_LOCATION = header("The URL of the visit.", {"type": "string", "format": "uri-reference"}, example="/visits/7")
_NEXT = header("Older reports, if there are more.", {"type": "string"}) | {"required": False}


def describe() -> Api:
    """Describe all routes."""
    return Api(
        paths={
            "/visits": {"post": _create(), "get": _page()},
            "/visits/{id}": {"get": _show()},
            "/reports": {"get": _reports()},
        },
        models=(NewVisit, VisitAnswer, ReportAnswer, Reports),
        tags={"visits": "Visits of pages, and reports of months, quarters and years in UTC."},
    )


def _create() -> Json:
    body = media(schema(NewVisit), example={"page": "/prices", "at": "2026-03-31T18:30:00+02:00"})
    return operation(
        "createVisit",
        "Store a visit",
        {
            201: answer("The visit is stored; its reports follow.", VisitAnswer, example=_VISIT)
            | {"headers": {"Location": _LOCATION}},
            400: problem(400, 'the body is not valid JSON: send an object such as {"page": "/prices"}'),
            413: problem(413, "the body is too large: expected at most 65,536 bytes"),
            415: problem(415, "the content type must be application/json"),
            422: problem(422, "note: String should have at most 200 characters"),
        },
        tag="visits",
        body={"required": True, "content": {"application/json": body}},
    )


def _show() -> Json:
    id_ = in_path("id", "The visit's number.", {"type": "integer", "minimum": 0}, example=7)
    found = {200: answer("The visit.", VisitAnswer, example=_VISIT), 404: problem(404, "visit 7 not found")}
    return operation("readVisit", "Read a visit", found, tag="visits", parameters=[id_])


def _page() -> Json:
    html: Json = {"description": "The newest reports.", "content": {"text/html": media({"type": "string"})}}
    return operation("showReports", "Show the newest reports as a page", {200: html}, tag="visits")


def _reports() -> Json:
    limit: Json = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    period = in_query("period", "Which kind of reports.", {"type": "string", "enum": list(MONTHS)}, example="quarterly")
    parameters = [
        period | {"required": True},
        in_query("start", "The first day of a period: only its report.", _DAY, example="2026-01-01"),
        in_query("before", "A day: only reports of periods that begin before it.", _DAY),
        in_query("limit", "How many reports at most.", limit),
    ]
    found = answer("Reports, newest first.", Reports, example=[_REPORT], headers={"Link": _NEXT})
    wrong = problem(422, "start: Value error, expected the first day of a quarterly report, such as 2026-01-01")
    return operation("listReports", "List reports", {200: found, 422: wrong}, tag="visits", parameters=parameters)
