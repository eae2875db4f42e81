"""POST /visits, GET /visits/<id>, GET /reports, and the page at /visits."""

from __future__ import annotations

from flask import Blueprint, Response, abort, jsonify, render_template, request, url_for
from pydantic import ValidationError
from sqlalchemy import select

from app.reports import visits
from app.reports.answers import DEFAULT_LIMIT, ReportAnswer, ReportQuery, VisitAnswer
from app.reports.models import Report, Visit
from tandem.sql import session

MAX_ID = 2**63 - 1


def make_blueprint() -> Blueprint:
    """Create the blueprint that the web application registers."""
    routes = Blueprint(
        "reports", __name__, template_folder="templates", static_folder="static", static_url_path="/static/reports"
    )
    routes.post("/visits")(create)
    routes.get("/visits")(page)
    routes.get(f"/visits/<int(max={MAX_ID}):id>")(show)
    routes.get("/reports")(show_reports)
    return routes


def create() -> tuple[Response, int, dict[str, str]]:
    """Store a visit; the messages that recalculate its reports are sent if its transaction commits."""
    (visit,) = visits.add(session(), [_body()])
    return _json(visit), 201, {"Location": url_for("reports.show", id=visit.id)}


def show(id: int) -> Response:
    """Answer with a visit."""
    visit = session().get(Visit, id)
    if visit is None:
        abort(404, f"visit {id} not found")
    return _json(visit)


def show_reports() -> tuple[Response, dict[str, str]]:
    """Answer with reports, newest first, and with a link to older ones if there are more."""
    asked = ReportQuery.model_validate(request.args.to_dict())
    found = select(Report).where(Report.period == asked.period).order_by(Report.start.desc())
    if asked.start:
        found = found.where(Report.start == asked.start)
    if asked.before:
        found = found.where(Report.start < asked.before)
    rows = session().scalars(found.limit(asked.limit + 1)).all()
    shown, more = rows[: asked.limit], rows[asked.limit :]
    answer = jsonify([ReportAnswer.model_validate(row).model_dump(mode="json") for row in shown])
    if not more:
        return answer, {}
    older = url_for("reports.show_reports", period=asked.period, before=shown[-1].start, limit=asked.limit)
    return answer, {"Link": f'<{older}>; rel="next"'}


def page() -> str:
    """Show the newest reports."""
    newest = select(Report).order_by(Report.start.desc(), Report.period).limit(DEFAULT_LIMIT)
    return render_template("visits.html", reports=session().scalars(newest).all(), limit=DEFAULT_LIMIT)


def _body() -> visits.NewVisit:
    if request.mimetype != "application/json":
        abort(415, "the content type must be application/json")
    try:
        return visits.NewVisit.model_validate_json(request.get_data())
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] == "json_invalid":
            abort(400, 'the body is not valid JSON: send an object such as {"page": "/prices"}')
        raise


def _json(visit: Visit) -> Response:
    return jsonify(VisitAnswer.model_validate(visit).model_dump(mode="json"))
